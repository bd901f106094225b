import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest"
import {
  findRunningServer,
  type LocalServer,
  type LocalServerOptions,
  type ServerExit,
  startLocalServer,
} from "../src/bus/server/index.js"
import { isAlive, processPlace, startToken } from "../src/bus/server/liveness.js"
import { readState } from "../src/bus/server/running.js"
import { testBinary } from "./support/binary.js"
import { LocalServerProcess } from "./support/local-server-process.js"
import { startTestServer } from "./support/nats-server.js"

let dir = ""
let servers: LocalServer[] = []
let processes: LocalServerProcess[] = []
beforeEach(() => {
  servers = []
  processes = []
  dir = join(mkdtempSync(join(tmpdir(), "murmur-local-")), ".murmur")
})
afterEach(async () => {
  const pid = readState(dir)?.pid
  // Those who joined last go first: nobody takes over from nobody.
  for (const server of servers.reverse()) await server.stop()
  for (const process of processes) await process.end("SIGKILL")
  if (pid !== undefined) await gone(pid)
  rmSync(join(dir, ".."), { recursive: true, force: true, maxRetries: 5 })
})

async function start(options: Partial<LocalServerOptions> = {}): Promise<LocalServer> {
  const server = await startLocalServer({ dir, port: 0, bin: testBinary(), ...options })
  servers.push(server)
  return server
}

function startProcess(): LocalServerProcess {
  const process = new LocalServerProcess(dir, testBinary())
  processes.push(process)
  return process
}

/** Waits until no process has this id. */
const gone = (pid: number): Promise<unknown> =>
  vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 15_000, interval: 20 })

async function store(url: string, text: string): Promise<void> {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: "KEPT", subjects: ["kept"] })
  await jetstream(connection).publish("kept", text)
  await connection.close()
}

async function stored(url: string): Promise<string | undefined> {
  const connection = await connect({ servers: url })
  try {
    const manager = await jetstreamManager(connection)
    return (await manager.streams.getMessage("KEPT", { last_by_subj: "kept" }))?.string()
  } finally {
    await connection.close()
  }
}

test("the server runs on a free port with acks that mean disk, is found by its folder, and stop leaves no process", async () => {
  const server = await start()
  expect(server.role).toBe("owner")
  const state = readState(dir)
  expect(state).toMatchObject({ url: server.url, pid: server.pid, ownerPid: process.pid, version: server.version })
  const response = await fetch(`${state?.monitorUrl}/varz`)
  expect(await response.json()).toMatchObject({
    host: "127.0.0.1",
    max_payload: 1_048_576,
    jetstream: { config: { sync_always: true } },
  })
  expect(await findRunningServer(dir)).toMatchObject({ url: server.url, pid: server.pid, version: server.version })
  await server.stop()
  await server.stop()
  expect(isAlive(state?.pid ?? 0)).toBe(false)
  expect(isAlive(state?.guardPid ?? 0)).toBe(false)
  expect(await findRunningServer(dir)).toBeUndefined()
  expect(existsSync(join(dir, "server.json"))).toBe(false)
})

test("what was stored before an orderly stop is there after the next start", async () => {
  const first = await start()
  await store(first.url, "hello")
  await first.stop()
  const second = await start()
  expect(await stored(second.url)).toBe("hello")
})

test("a given port that is taken is an error that names it", async () => {
  const taken = await startTestServer()
  onTestFinished(() => taken.stop())
  await expect(start({ port: taken.port })).rejects.toMatchObject({
    code: "SERVER_PORT",
    message: expect.stringContaining(`port ${taken.port}: another program uses it`),
  })
  expect((await start()).role).toBe("owner")
})

test("without a wish the port is 4222, or a free one when another program has that", async () => {
  const other = createServer()
  await new Promise<void>((resolve) => {
    other.once("error", () => resolve()) // Somebody else's already: as good.
    other.listen(4222, "127.0.0.1", resolve)
  })
  onTestFinished(() => void other.close())
  const details: string[] = []
  const server = await startLocalServer({ dir, bin: testBinary(), onProgress: (p) => details.push(p.detail) })
  servers.push(server)
  expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/)
  expect(server.url).not.toContain(":4222")
  expect(details).toContain("port 4222 is taken by another program; trying a free one")
})

test("a server that refuses its configuration is an error with what it said", async () => {
  const first = await start()
  await first.stop()
  rmSync(join(dir, "nats", "jetstream"), { recursive: true })
  writeFileSync(join(dir, "nats", "jetstream"), "a file where a folder has to be")
  await expect(start()).rejects.toMatchObject({ code: "SERVER_START", message: expect.stringContaining("Its log is") })
  expect(await findRunningServer(dir)).toBeUndefined()
})

test("an abort ends the start and leaves no process and no claim", async () => {
  const abort = new AbortController()
  const onProgress = (): void => abort.abort(new Error("changed my mind"))
  await expect(start({ signal: abort.signal, onProgress })).rejects.toThrow("changed my mind")
  expect((await start()).role).toBe("owner")
})

test("an unknown option is named, and so is a port that is none", async () => {
  await expect(start({ prot: 1 } as never)).rejects.toThrow('unknown option "prot"')
  await expect(start({ port: 70_000 })).rejects.toThrow('"port" must be a whole number from 0 to 65535, is 70000')
  await expect(start({ syncInterval: "never" as never })).rejects.toMatchObject({ code: "SERVER_OPTION" })
})

test("of several that start at the same moment one becomes owner and all use its server", async () => {
  const all = await Promise.all([start(), start(), start(), start()])
  expect(all.map(({ role }) => role).sort()).toEqual(["joined", "joined", "joined", "owner"])
  expect(new Set(all.map(({ url }) => url)).size).toBe(1)
  await all.find(({ role }) => role === "joined")?.stop()
  expect(await findRunningServer(dir)).toMatchObject({ url: all[0]?.url })
})

test("of two processes that start at the same moment one becomes owner and the other joins", async () => {
  const [a, b] = [startProcess(), startProcess()]
  const said = await Promise.all([a.started(), b.started()])
  expect(said.map(({ role }) => role).sort()).toEqual(["joined", "owner"])
  expect(said[0].url).toBe(said[1].url)
  await Promise.all([a.end("SIGTERM"), b.end("SIGTERM")])
  await gone(said[0].pid ?? 0)
})

test("kill -9 of the owner leaves no server, and the next start has the data", async () => {
  const owner = startProcess()
  const { url = "", pid = 0, guardPid = 0 } = await owner.started()
  await store(url, "survives")
  await owner.end("SIGKILL")
  await gone(pid)
  await gone(guardPid)
  const next = await start()
  expect(next.role).toBe("owner")
  expect(next.url).toBe(url)
  expect(await stored(next.url)).toBe("survives")
})

test("kill -9 of owner and guard leaves a server that the next start puts under its own guard", async () => {
  const owner = startProcess()
  const { url = "", pid = 0, guardPid = 0 } = await owner.started()
  await store(url, "survives")
  process.kill(guardPid, "SIGKILL")
  await owner.end("SIGKILL")
  await gone(guardPid)
  expect(isAlive(pid)).toBe(true)
  const next = await start()
  expect(isAlive(pid)).toBe(false)
  expect(next).toMatchObject({ role: "owner", url })
  expect(await stored(next.url)).toBe("survives")
})

test.each(["SIGKILL", "SIGTERM"] as const)(
  "when the owner goes by %s, one of those who joined takes over on the same port and store",
  async (signal) => {
    const owner = startProcess()
    const { url = "" } = await owner.started()
    await store(url, "survives")
    const joined = [await start(), await start()]
    expect(joined.map(({ role }) => role)).toEqual(["joined", "joined"])
    const exits: ServerExit[] = []
    for (const server of joined) server.onExit((exit) => exits.push(exit))
    const client = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    await owner.end(signal)
    await vi.waitFor(() => expect(joined.map(({ role }) => role).sort()).toEqual(["joined", "owner"]), 15_000)
    await vi.waitFor(() => client.flush(), 5_000)
    await client.close()
    expect(await stored(url)).toBe("survives")
    expect(exits).toEqual([{ reason: "the process that ran the server is gone", restarting: true }])
    await vi.waitFor(() => expect(joined[0]?.pid).toBe(joined[1]?.pid), 5_000)
  },
)

test("a server that was killed is started again on the same port and store", async () => {
  const server = await start()
  const before = server.pid
  await store(server.url, "survives")
  const exits: ServerExit[] = []
  server.onExit((exit) => exits.push(exit))
  process.kill(before, "SIGKILL")
  await vi.waitFor(() => expect(server.pid).not.toBe(before), 15_000)
  expect(await stored(server.url)).toBe("survives")
  expect(exits).toEqual([{ reason: "the server ended (signal SIGKILL)", restarting: true }])
})

test("a guard that was killed is replaced, and no second server comes onto the store", async () => {
  const server = await start()
  const before = server.pid
  process.kill(readState(dir)?.guardPid ?? 0, "SIGKILL")
  await vi.waitFor(() => expect(server.pid).not.toBe(before), 15_000)
  expect(isAlive(before)).toBe(false)
  await server.stop()
})

test("a server that keeps ending is given up after five restarts, and the folder is free again", async () => {
  const server = await start()
  const exits: ServerExit[] = []
  server.onExit((exit) => exits.push(exit))
  const killer = setInterval(() => {
    try {
      process.kill(server.pid, "SIGKILL")
    } catch {
      // Between two runs.
    }
  }, 10)
  onTestFinished(() => clearInterval(killer))
  await vi.waitFor(() => expect(exits.at(-1)?.restarting).toBe(false), { timeout: 25_000, interval: 50 })
  expect(exits.at(-1)?.reason).toContain("the server ended 5 times within 60 s")
  expect(await findRunningServer(dir)).toBeUndefined()
})

test("a server that ends because its state folder was removed is given up, and the folder does not come back", async () => {
  const server = await start()
  const exits: ServerExit[] = []
  server.onExit((exit) => exits.push(exit))
  rmSync(dir, { recursive: true })
  process.kill(server.pid, "SIGKILL")
  await vi.waitFor(() => expect(exits.at(-1)?.restarting).toBe(false), { timeout: 15_000, interval: 50 })
  expect(existsSync(dir)).toBe(false)
})

test("an owner whose claim was taken does not touch the store again, and joins whoever has it", async () => {
  const server = await start()
  const { pid } = server
  // As if another process had judged it dead, which a machine waking from sleep can bring about.
  const claim = { pid: process.pid, token: startToken(process.pid), place: processPlace() }
  writeFileSync(join(dir, "server-claims", "7.json"), JSON.stringify(claim))
  process.kill(pid, "SIGKILL")
  await vi.waitFor(() => expect(server.role).toBe("joined"), 15_000)
  expect(server.pid).toBe(pid)
  expect(readdirSync(join(dir, "server-claims")).sort()).toEqual(["1.json", "7.json"])
})

test("a test server keeps its port over kill -9 and restart, and leaves nothing behind", async () => {
  const server = await startTestServer({ sync: "always" })
  const before = server.pid
  const response = await fetch(`${server.monitorUrl}/varz`)
  expect(await response.json()).toMatchObject({ port: server.port, jetstream: { config: { sync_always: true } } })
  await server.kill9()
  await server.restart()
  expect(server.pid).not.toBe(before)
  server.pause()
  server.resume()
  await server.stop()
  await server.stop()
  expect(existsSync(server.storeDir)).toBe(false)
  expect(isAlive(server.pid)).toBe(false)
})
