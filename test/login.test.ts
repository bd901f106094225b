import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Artifacts } from "../src/bus/artifacts.js"
import { Bucket, type BucketChange } from "../src/bus/bucket.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { ensureDurable } from "../src/bus/consumers.js"
import { readHistory } from "../src/bus/reader.js"
import { buildCli } from "./cli/support/cli.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { startNodeProcess } from "./support/node-process.js"

const FIXTURE = resolve(import.meta.dirname, "fixtures/counting.ts")

let dir: string
let server: TestServer | undefined
const open: Bus[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-login-"))
})
afterEach(async () => {
  for (const bus of open.splice(0)) await bus.close()
  await server?.stop()
  server = undefined
  rmSync(dir, { recursive: true, force: true })
})

/** A user by nkey: its public key, and a file with its seed. */
function user(name: string): { key: string; file: string } {
  const pair = nkeys.createUser()
  const file = join(dir, `${name}.nk`)
  writeFileSync(file, `# ${name}\n${new TextDecoder().decode(pair.getSeed())}\n`)
  return { key: pair.getPublicKey(), file }
}

async function connect(nkeyFile: string): Promise<Bus> {
  const bus = await openBus({ url: server?.url ?? "", name: "test", mesh: "test", nkeyFile })
  open.push(bus)
  return bus
}

/** A server that knows an operator who may do anything, and a node that may make nothing. */
async function startWithRights(publish: readonly string[]): Promise<{ operator: Bus; node: Bus }> {
  const [operator, node] = [user("operator"), user("node")]
  const allow = publish.map((subject) => JSON.stringify(subject)).join(", ")
  server = await startTestServer({
    config: `authorization { users: [ { nkey: ${operator.key} }, { nkey: ${node.key}, permissions: {
      publish: { allow: [${allow}] }, subscribe: { allow: ["_INBOX_${node.key}.>"] } } } ] }`,
  })
  const admin = await connect(operator.file)
  return { operator: admin, node: await connect(node.file) }
}

describe("who a client is", () => {
  test("by nkey; replies come under a prefix of its own, and it knows what it may do", async () => {
    const { operator, node } = await startWithRights(["$SYS.REQ.USER.INFO", "test.ev.mine.>"])
    expect(operator.link.rights.restricted).toBe(false)
    expect(operator.link.inboxPrefix).toMatch(/^_INBOX_U[A-Z0-9]{55}$/)
    const { rights } = node.link
    expect(rights.restricted).toBe(true)
    expect(rights.user).toBe(node.link.inboxPrefix?.slice("_INBOX_".length))
    expect(rights.mayPublish("test.ev.mine.k.note.added")).toBe(true)
    expect(rights.mayPublish("test.ev.other.k.note.added")).toBe(false)
    expect(rights.mayPublish("test.ev.mine")).toBe(false)
    expect(node.names.layout).toBe("agent")
  })

  test("a file that holds no seed, or is not there, or two files: what is wrong, and where", async () => {
    const empty = join(dir, "empty.nk")
    writeFileSync(empty, "nothing")
    const { file } = user("one")
    const url = "nats://127.0.0.1:1"
    for (const [login, message] of [
      [{ nkeyFile: empty }, /empty\.nk": it holds no seed/],
      [{ nkeyFile: join(dir, "none.nk") }, /none\.nk": ENOENT/],
      [{ nkeyFile: file, credsFile: file }, /one of both/],
    ] as const) {
      await expect(openBus({ url, name: "test", ...login })).rejects.toMatchObject({
        code: "BUS_CREDS",
        message: expect.stringMatching(message),
      })
    }
  })

  test("a user that the server does not know is told how another is named", async () => {
    server = await startTestServer({ config: `authorization { users: [ { nkey: ${user("known").key} } ] }` })
    await expect(connect(user("stranger").file)).rejects.toMatchObject({
      code: "BUS_CONNECT",
      message: expect.stringContaining("--nkey"),
    })
  })
})

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

describe("a client that may make nothing", () => {
  const reading = (bucket: string): string[] => [
    `$JS.API.STREAM.INFO.KV_${bucket}`,
    `$JS.API.STREAM.MSG.GET.KV_${bucket}`,
    `$JS.API.DIRECT.GET.KV_${bucket}`,
  ]

  test("sees what is in a bucket and what changes there, as others do", async () => {
    const { operator, node } = await startWithRights([
      "$SYS.REQ.USER.INFO",
      ...reading("test_things"),
      "$KV.test_things.mine",
    ])
    const theirs = await operator.bucket("things")
    await theirs.put("a", 1)
    await theirs.put("b.c", { n: 2 })
    const bucket = await node.bucket("things")
    expect((await bucket.get("a"))?.value).toBe(1)
    expect((await all(bucket.entries())).map(({ key }) => key)).toEqual(["a", "b.c"])
    expect((await all(bucket.entries("b.>"))).map(({ value }) => value)).toEqual([{ n: 2 }])

    const stopping = new AbortController()
    const seen: BucketChange[] = []
    const watching = (async () => {
      for await (const change of bucket.watch({ signal: stopping.signal })) seen.push(change)
    })()
    await until("it has seen all", () => seen.some((change) => "synced" in change))
    await theirs.put("a", 3)
    await theirs.delete("b.c")
    await bucket.put("mine", true)
    await until("it has seen the changes", () => seen.length === 6)
    stopping.abort()
    await watching
    expect(seen.slice(3)).toMatchObject([
      { key: "a", value: 3 },
      { key: "b.c", value: undefined },
      { key: "mine", value: true },
    ])
    await expect(bucket.put("a", 4)).rejects.toThrow(/permissions violation/i)
  })

  test("that may not even ask for its rights reads and watches without making a consumer", async () => {
    const { operator, node } = await startWithRights(reading("test_things"))
    expect(node.link.rights.restricted).toBe(false)
    const theirs = await operator.bucket("things")
    await theirs.put("a", 1)
    const bucket = await Bucket.find(node.link, "test_things")
    const stopping = new AbortController()
    const seen: BucketChange[] = []
    const watching = (async () => {
      for await (const change of bucket?.watch({ signal: stopping.signal }) ?? []) seen.push(change)
    })()
    await until("it has seen all", () => seen.some((change) => "synced" in change))
    await theirs.put("a", 2)
    await until("it has seen the change", () => seen.length === 3)
    stopping.abort()
    await watching
    expect(seen).toMatchObject([{ value: 1 }, { synced: true }, { value: 2 }])
    const read = { stream: "KV_test_things", filter: "$KV.test_things.>", from: { seq: 1 } }
    expect((await all(readHistory(node.link, read))).map(({ seq }) => seq)).toEqual([2])
  })

  test("is told what was not deployed, and what to do", async () => {
    const { operator, node } = await startWithRights([
      "$SYS.REQ.USER.INFO",
      ...reading("test_none"),
      "$JS.API.CONSUMER.INFO.test_EVENTS.teller=0",
      "$JS.API.STREAM.INFO.OBJ_test_ARTIFACTS",
    ])
    await operator.ensureStreams()
    const refusal = { code: "NOT_DEPLOYED", message: expect.stringContaining("murmur deploy") }
    await expect(node.bucket("none")).rejects.toMatchObject(refusal)
    await expect(
      ensureDurable(node.link, {
        ...{ stream: "test_EVENTS", name: "teller=0", filters: ["test.ev.>"], ackPendingMax: 1, ackWaitMs: 1_000 },
      }),
    ).rejects.toMatchObject(refusal)
    await expect(Artifacts.open(node)).rejects.toMatchObject(refusal)
  })
})

test("a node whose user is taken away ends, so that whoever started it can give it another", {
  timeout: 60_000,
}, async () => {
  await buildCli()
  const [keeper, leaver] = [user("keeper"), user("leaver")]
  const users = (...keys: string[]): void =>
    writeFileSync(
      join(dir, "auth.conf"),
      `authorization { users: [ ${keys.map((key) => `{ nkey: ${key} }`).join(", ")} ] }`,
    )
  users(keeper.key, leaver.key)
  server = await startTestServer({ config: `include ${JSON.stringify(join("..", basename(dir), "auth.conf"))}` })
  const node = await startNodeProcess([FIXTURE, "--nats", server.url, "--nkey", leaver.file, "--port", "0"])
  const gone = once(node.child, "exit")
  users(keeper.key)
  process.kill(server.pid, "SIGHUP")
  const [code] = await gone
  expect(node.stderr()).toContain("murmur auth check")
  expect(code).toBe(1)
})
