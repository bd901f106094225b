import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { guardedFetch } from "./guarded-fetch.js"

let answer: (response: ServerResponse) => void
const closed: boolean[] = []
const server = createServer((_, response) => {
  response.once("close", () => closed.push(!response.writableFinished))
  answer(response)
})
let url = ""

beforeAll(async () => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** A byte every 30 ms, ten times. */
function trickle(response: ServerResponse): void {
  let left = 10
  const timer = setInterval(() => {
    left -= 1
    if (left >= 0) response.write("1")
    else response.end()
    if (left < 0 || response.destroyed) clearInterval(timer)
  }, 30)
}

async function streamed(response: Response): Promise<string> {
  let text = ""
  for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
  return text
}

describe.each([
  ["read whole", (response: Response) => response.text()],
  ["read as a stream", streamed],
])("an answer that is %s", (_, read) => {
  test("comes as it was sent, with status and headers", async () => {
    answer = (response) => response.writeHead(201, { "x-one": "1" }).end("a señor\n東京")
    const response = await guardedFetch({ provider: "p" })(url)
    expect([response.status, response.ok, response.headers.get("x-one")]).toEqual([201, true, "1"])
    expect(await read(response)).toBe("a señor\n東京")
  })

  test("is not idle while a byte comes now and then", async () => {
    answer = trickle
    expect(await read(await guardedFetch({ provider: "p", idleMs: 200 })(url))).toBe("1".repeat(10))
  })

  test("is given up once it stops, and its connection with it", async () => {
    answer = (response) => void response.write("half")
    const before = closed.length
    const response = await guardedFetch({ provider: "p", idleMs: 60 })(url)
    await expect(read(response)).rejects.toMatchObject({ code: "LLM_IDLE", details: { provider: "p", idleMs: 60 } })
    await vi.waitFor(() => expect(closed.slice(before)).toEqual([true]))
  })

  test("is given up once it is too large, and its connection with it", async () => {
    answer = (response) => {
      const timer = setInterval(() => response.write("x".repeat(600)), 5)
      response.once("close", () => clearInterval(timer))
    }
    const before = closed.length
    const response = await guardedFetch({ provider: "p", replyBytesMax: 5_000 })(url)
    await expect(read(response)).rejects.toMatchObject({ code: "LLM_REPLY_TOO_LARGE" })
    await vi.waitFor(() => expect(closed.slice(before)).toEqual([true]))
  })

  test("may be as large as is allowed", async () => {
    answer = (response) => response.end("x".repeat(5_000))
    const response = await guardedFetch({ provider: "p", replyBytesMax: 5_000 })(url)
    expect(await read(response)).toHaveLength(5_000)
  })

  test("is not idle while nobody reads it", async () => {
    answer = (response) => response.end("all there")
    const response = await guardedFetch({ provider: "p", idleMs: 40 })(url)
    await sleep(120)
    expect(await read(response)).toBe("all there")
  })

  test("fails with the connection", async () => {
    answer = (response) => {
      response.writeHead(200).write("half")
      setTimeout(() => response.destroy(), 30)
    }
    await expect(read(await guardedFetch({ provider: "p" })(url))).rejects.toThrow(TypeError)
  })
})

test("an answer without a body, an answer in JSON and one in bytes are read like any other", async () => {
  const fetch = guardedFetch({ provider: "p" })
  answer = (response) => response.writeHead(204).end()
  expect(await (await fetch(url)).text()).toBe("")
  answer = (response) => response.end('{"a":1}')
  expect(await (await fetch(url)).json()).toEqual({ a: 1 })
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).toString()).toBe('{"a":1}')
  answer = trickle
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).toString()).toBe("1".repeat(10))
})

test("a stream that is left breaks the connection off", async () => {
  answer = (response) => {
    const timer = setInterval(() => response.write("x"), 10)
    response.once("close", () => clearInterval(timer))
  }
  const before = closed.length
  const response = await guardedFetch({ provider: "p" })(url)
  for await (const _ of response.body ?? []) break
  await vi.waitFor(() => expect(closed.slice(before)).toEqual([true]))
})
