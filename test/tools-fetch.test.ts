import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import type { HttpReply } from "../src/agents/builtin/fetcher.js"
import { type HttpFetchOptions, httpFetch, httpFetchOver } from "../src/agents/builtin/http-fetch.js"
import type { Network } from "../src/agents/builtin/network.js"
import type { ToolContext } from "../src/agents/tools/tool.js"
import { isPublicAddress } from "../src/gateways/http/public-address.js"
import { silentLog } from "../src/telemetry/ports.js"

// 127.0.0.2 stands for the internet; what is on 127.0.0.1 is in the house, and must never hear a word.
const OUTSIDE = "127.0.0.2"
const INSIDE = "127.0.0.1"

let outside: Server
let inside: Server
let port: number
const heard: {
  method: string | undefined
  url: string | undefined
  headers: IncomingMessage["headers"]
  body: string
}[] = []
const canary: (string | undefined)[] = []
let answers: Record<string, (response: ServerResponse, request: IncomingMessage) => void> = {}

const listen = (server: Server, host: string, at = 0): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(at, host, () => resolve((server.address() as AddressInfo).port))
  })

beforeAll(async () => {
  inside = createServer((request, response) => {
    canary.push(request.url)
    response.end("the secret of the house")
  })
  outside = createServer(async (request, response) => {
    let body = ""
    for await (const chunk of request) body += chunk
    heard.push({ method: request.method, url: request.url, headers: request.headers, body })
    const answer = answers[request.url ?? ""]
    if (answer === undefined) response.end(`you asked ${request.url}`)
    else answer(response, request)
  })
  // the same port on both: a rebound name leads to the very port that was allowed
  port = await listen(outside, OUTSIDE)
  await listen(inside, INSIDE, port)
})
afterAll(() => {
  for (const server of [outside, inside]) {
    server.closeAllConnections()
    server.close()
  }
})
beforeEach(() => {
  heard.length = 0
  canary.length = 0
  answers = {}
})

/** Names, and what they resolve to: each time the next. */
function network(names: Record<string, string[][]> = {}): Network & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    resolve: async (host) => {
      asked.push(host)
      const answer = names[host]?.[Math.min(asked.filter((each) => each === host).length, names[host]?.length ?? 0) - 1]
      return (answer ?? [OUTSIDE]).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
    },
    isPublic: (address) => address === OUTSIDE || isPublicAddress(address),
  }
}

const context = (signal = new AbortController().signal): ToolContext => ({
  ...{ agent: "reader", key: undefined, attempt: 1, idempotencyKey: "key-1", signal, log: silentLog },
})

/** Asks by a tool that may ask `page.example` and the hosts given. */
async function ask(
  input: { url: string; method?: string; body?: string },
  options: Partial<HttpFetchOptions> = {},
  net: Network = network(),
  signal?: AbortSignal,
): Promise<HttpReply> {
  const tool = httpFetchOver(net, { allow: [`page.example:${port}`], ...options })
  return (await tool.run(tool.input.parse(input), context(signal))) as HttpReply
}
const page = (path = "/"): string => `http://page.example:${port}${path}`
const code = (asking: Promise<unknown>): Promise<string> =>
  asking.then(
    () => "answered",
    (error: { code?: string }) => error.code ?? String(error),
  )

describe("a request", () => {
  test("brings what the page says, with some of its headers", async () => {
    answers["/json"] = (response) => {
      response.setHeader("content-type", "application/json")
      response.setHeader("set-cookie", "session=1")
      response.end('{"ok":"ü"}')
    }
    expect(await ask({ url: page("/json") })).toEqual({
      ...{ status: 200, url: page("/json"), body: '{"ok":"ü"}', encoding: "utf8", truncated: false },
      headers: { "content-type": "application/json", "content-length": "11" },
    })
  })

  test("that the other side refuses is an answer as well", async () => {
    answers["/gone"] = (response) => void response.writeHead(410).end("gone")
    expect(await ask({ url: page("/gone") })).toMatchObject({ status: 410, body: "gone" })
  })

  test("reads no more than it may, and cuts no character in two", async () => {
    answers["/long"] = (response) => void response.end("ü".repeat(1_000))
    const reply = await ask({ url: page("/long") }, { maxBytes: 101 })
    expect(reply).toMatchObject({ body: "ü".repeat(50), truncated: true, encoding: "utf8" })
  })

  test("does not read an answer without end", async () => {
    answers["/endless"] = (response) => {
      const pour = (): void => {
        while (!response.destroyed && response.write("x".repeat(10_000)));
        if (!response.destroyed) response.once("drain", pour)
      }
      pour()
    }
    const reply = await ask({ url: page("/endless") }, { maxBytes: 100_000 })
    expect([reply.body.length, reply.truncated]).toEqual([100_000, true])
  })

  test("gives bytes that are no text in base64", async () => {
    answers["/image"] = (response) => void response.end(Buffer.from([0xff, 0xd8, 0, 1]))
    expect(await ask({ url: page("/image") })).toMatchObject({ body: "/9gAAQ==", encoding: "base64" })
  })

  test("ends when its time is up, whatever trickles in", async () => {
    const stopping = new AbortController()
    answers["/slow"] = (response) => {
      response.write("a")
      setTimeout(() => stopping.abort(new Error("time is up")), 50)
    }
    await expect(ask({ url: page("/slow") }, {}, network(), stopping.signal)).rejects.toThrow()
  })

  test("that finds nobody may be made again", async () => {
    const net = network({ "page.example": [["127.0.0.9"]] })
    const away = { ...net, isPublic: () => true }
    await expect(ask({ url: page() }, {}, away)).rejects.toMatchObject({ code: "TOOL_FETCH", name: "RetryableError" })
  })

  test("that breaks in the middle does not say that nothing was done", async () => {
    answers["/break"] = (response) => void response.destroy()
    await expect(ask({ url: page("/break") })).rejects.toMatchObject({ code: "TOOL_FETCH", name: "MurmurError" })
  })

  test("sends a body only where it may, and the call's key where that is agreed", async () => {
    const methods = ["POST"] as const
    await ask({ url: page(), body: '{"a":1}' }, { methods, effect: "idempotent", headers: { Authorization: "x" } })
    expect(heard[0]).toMatchObject({ method: "POST", body: '{"a":1}' })
    expect(heard[0]?.headers).toMatchObject({
      ...{ "idempotency-key": "key-1", authorization: "x", "content-type": "application/json" },
    })
    await ask({ url: page(), body: "x" })
    expect(heard[1]).toMatchObject({ method: "GET", body: "" })
    await expect(ask({ url: page(), method: "DELETE" })).rejects.toThrow(/method/)
    expect(heard).toHaveLength(2)
  })
})

describe("an address in the house is never asked", () => {
  const refusedForms: [string, string][] = [
    ["by its number", `http://127.0.0.1:PORT/`],
    ["by its name", `http://localhost:PORT/`],
    ["as one decimal number", `http://2130706433:PORT/`],
    ["in octal", `http://0177.0.0.1:PORT/`],
    ["in hexadecimal", `http://0x7f.0x0.0x0.0x1:PORT/`],
    ["in short", `http://127.1:PORT/`],
    ["as nothing", `http://0:PORT/`],
    ["in IPv6", `http://[::1]:PORT/`],
    ["as IPv4 in IPv6", `http://[::ffff:127.0.0.1]:PORT/`],
    ["as IPv4 in IPv6, in hexadecimal", `http://[::ffff:7f00:1]:PORT/`],
    ["as IPv4 behind NAT64", `http://[64:ff9b::7f00:1]:PORT/`],
    ["as the cloud's metadata", `http://169.254.169.254/latest/meta-data`],
    ["in full-width digits", `http://１２７.０.０.１:PORT/`],
    ["with a dot at the end", `http://127.0.0.1.:PORT/`],
    ["behind a user", `http://page.example@127.0.0.1:PORT/`],
    ["behind an allowed host as a password", `http://page.example:PORT@127.0.0.1:PORT/`],
    ["behind a backslash", `http://127.0.0.1:PORT\\@page.example:PORT/`],
    ["as a file", `file:///etc/passwd`],
    ["by another protocol", `gopher://127.0.0.1:PORT/`],
    ["in data", `data:text/plain,hello`],
  ]
  test.each(refusedForms)("%s", async (_, form) => {
    const url = form.replaceAll("PORT", String(port))
    expect(await code(ask({ url }))).toBe("TOOL_REFUSED")
    expect(canary).toEqual([])
  })

  test.each(refusedForms.filter(([, url]) => url.startsWith("http:")).slice(0, 11))(
    "%s, not even when the allow-list names it",
    async (_, form) => {
      const url = form.replaceAll("PORT", String(port))
      const net = network({ localhost: [[INSIDE]] })
      expect(await code(ask({ url }, { allow: [new URL(url).host] }, net))).toBe("TOOL_REFUSED")
      expect(canary).toEqual([])
    },
  )

  test.each<[string, string[][]]>([
    ["resolves to it", [[INSIDE]]],
    ["resolves to it, too", [[OUTSIDE, INSIDE]]],
    ["resolves to it in IPv6", [["::1"]]],
    ["resolves to it as IPv4 in IPv6", [["::ffff:127.0.0.1"]]],
    ["resolves to the cloud's metadata", [["169.254.169.254"]]],
    ["resolves to a private network", [["10.0.0.1"]]],
    ["resolves to nothing that is an address", [["page.example"]]],
  ])("when an allowed name %s", async (_, addresses) => {
    expect(await code(ask({ url: page() }, {}, network({ "page.example": addresses })))).toBe("TOOL_REFUSED")
    expect(canary).toEqual([])
  })

  test("when a name resolves to it at the second look: the one look is that of the connection", async () => {
    const net = network({ "page.example": [[OUTSIDE], [INSIDE]] })
    expect(await ask({ url: page() }, {}, net)).toMatchObject({ status: 200 })
    expect(net.asked).toEqual(["page.example"])
    expect(await code(ask({ url: page() }, {}, net))).toBe("TOOL_REFUSED")
    expect(canary).toEqual([])
  })

  test("when a name is rebound between two hops of one call", async () => {
    answers["/hop"] = (response) => void response.writeHead(302, { location: "/secret" }).end()
    const net = network({ "page.example": [[OUTSIDE], [INSIDE]] })
    expect(await code(ask({ url: page("/hop") }, {}, net))).toBe("TOOL_REFUSED")
    expect([canary, net.asked.length]).toEqual([[], 2])
  })

  test("when whatever looked the name up was fooled: the peer of the connection is looked at as well", async () => {
    const net = network({ "page.example": [[INSIDE]] })
    let looks = 0
    const fooled: Network = { ...net, isPublic: (address) => looks++ === 0 || net.isPublic(address) }
    expect(await code(ask({ url: page() }, {}, fooled))).toBe("TOOL_REFUSED")
    expect(canary).toEqual([])
  })

  test.each([
    `http://127.0.0.1:PORT/secret`,
    `http://localhost:PORT/secret`,
    `//127.0.0.1:PORT/secret`,
    `http://[::1]:PORT/secret`,
    `http://2130706433:PORT/secret`,
    `http://user:pw@page.example:PORT/`,
    `http://other.example:PORT/`,
    `file:///etc/passwd`,
    `http:\\\\127.0.0.1:PORT/secret`,
  ])("when an answer redirects to %s", async (location) => {
    const to = location.replaceAll("PORT", String(port))
    answers["/hop"] = (response) => void response.writeHead(302, { location: to }).end()
    expect(await code(ask({ url: page("/hop") }))).toBe("TOOL_REFUSED")
    expect([canary, heard.length]).toEqual([[], 1])
  })
})

describe("redirects", () => {
  const allow = (): string[] => [`page.example:${port}`, `*.page.example:${port}`]

  test("are followed, so many and no more", async () => {
    for (let hop = 0; hop < 4; hop++) {
      answers[`/${hop}`] = (response) => void response.writeHead(302, { location: `/${hop + 1}` }).end()
    }
    expect(await ask({ url: page("/0") }, { redirectsMax: 4 })).toMatchObject({ url: page("/4"), status: 200 })
    expect(await code(ask({ url: page("/0") }, { redirectsMax: 3 }))).toBe("TOOL_REFUSED")
  })

  test("to another host get no headers of ours", async () => {
    const away = `http://b.page.example:${port}/there`
    answers["/hop"] = (response) => void response.writeHead(307, { location: away }).end()
    const headers = { authorization: "Bearer of-this-host" }
    await ask({ url: page("/hop") }, { allow: allow(), headers })
    expect(heard.map((each) => each.headers.authorization)).toEqual(["Bearer of-this-host", undefined])
  })

  test("of what may have done something are its answer, and nobody follows them", async () => {
    const away = `http://b.page.example:${port}/there`
    for (const status of [302, 303, 307]) {
      answers["/hop"] = (response) => void response.writeHead(status, { location: away }).end()
      const reply = await ask({ url: page("/hop"), body: "secret" }, { allow: allow(), methods: ["POST"] })
      expect(reply).toMatchObject({ status, headers: { location: away } })
    }
    expect(heard.map(({ method, url }) => `${method} ${url}`)).toEqual(Array(3).fill("POST /hop"))
  })
})

describe("the allow-list", () => {
  test.each<[string, string, boolean]>([
    ["page.example", "http://page.example/", true],
    ["page.example", "https://page.example/", true],
    ["page.example", "http://PAGE.example./", true],
    ["page.example", "http://page.example:81/", false],
    ["page.example", "http://a.page.example/", false],
    ["page.example", "http://page.example.evil.example/", false],
    ["page.example", "http://evilpage.example/", false],
    ["*.page.example", "http://a.b.page.example/", true],
    ["*.page.example", "http://page.example/", false],
    ["*.page.example", "http://evilpage.example/", false],
    ["*.page.example", "http://page.example.evil.example/", false],
    ["bücher.example", "http://xn--bcher-kva.example/", true],
  ])("%s, asked for %s", async (allowed, url, may) => {
    const nobody: Network = { resolve: async () => [{ address: "127.0.0.9", family: 4 }], isPublic: () => true }
    expect(await code(ask({ url }, { allow: [allowed] }, nobody))).toBe(may ? "TOOL_FETCH" : "TOOL_REFUSED")
  })

  test.each<[object, string]>([
    [{}, "allow must be a list of hosts, at least one"],
    [{ allow: [] }, "allow must be a list of hosts, at least one"],
    [{ allow: ["*"] }, 'not "*"'],
    [{ allow: ["http://a.example"] }, 'not "http://a.example"'],
    [{ allow: ["*.127.0.0.1"] }, 'not "*.127.0.0.1"'],
    [{ allow: ["a.example/x"] }, 'not "a.example/x"'],
    [{ allow: ["a.example"], methods: ["TRACE"] }, 'not "TRACE"'],
    [{ allow: ["a.example"], headers: { host: "b" } }, 'may not hold "host"'],
    [{ allow: ["a.example"], headers: { x: "a\r\nb" } }, "none of HTTP"],
    [{ allow: ["a.example"], maxBytes: 0 }, "maxBytes must be an integer from 1"],
    [{ allow: ["a.example"], egress: false }, 'unknown option "egress"'],
  ])("and other options %j are checked", (options, said) => {
    expect(() => httpFetch(options as HttpFetchOptions)).toThrow(said)
  })

  test("of a tool that only reads makes it a reading one; it sends out and brings in what outsiders wrote", () => {
    expect(httpFetch({ allow: ["a.example"] })).toMatchObject({ effect: "read", egress: true, untrusted: true })
    expect(httpFetch({ allow: ["a.example"], methods: ["POST"] })).toMatchObject({ effect: "irreversible" })
  })
})
