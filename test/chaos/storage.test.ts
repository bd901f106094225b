import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, onTestFinished, test } from "vitest"
import { until } from "../support/mesh.js"
import { Bank, payment } from "./support/bank.js"
import { LONG } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

/** Gives a stream so many bytes, or as many as it likes. */
async function limit(stream: string, bytes: number, discard?: "new"): Promise<void> {
  await bank.bus.link.manager.streams.update(stream, { max_bytes: bytes, ...(discard && { discard }) })
}

async function bytesOf(stream: string): Promise<number> {
  return (await bank.bus.link.manager.streams.info(stream)).state.bytes
}

test("a full stream of events is told to who publishes, by code and by status", { timeout: 60_000 }, async () => {
  bank = await Bank.open()
  const node = await bank.startNode({}, ["--port", "0"])
  await bank.pay(50)
  await bank.check()
  const { names } = bank.bus
  await limit(names.events, (await bytesOf(names.events)) + 1, "new")
  const began = Date.now()
  await expect(bank.bus.publish(payment(50), { producer: "cli" })).rejects.toMatchObject({ code: "STREAM_FULL" })
  expect(Date.now() - began).toBeLessThan(5_000)
  const event = { specversion: "1.0", id: "payment-51", source: "/test", type: "bank.paid", subject: "account-51" }
  const headers = { "content-type": "application/cloudevents+json" }
  const body = JSON.stringify({ ...event, data: { account: "account-51", n: 51 } })
  const answer = await fetch(`${node.ready.http}/events`, { method: "POST", headers, body })
  expect(answer.status).toBe(503)
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0)
  await limit(names.events, -1)
  await bank.pay(50)
  await bank.check()
})

test("what is committed waits for room in the stream of events, and nothing is done twice", {
  timeout: 60_000,
}, async () => {
  bank = await Bank.open({ env: { CALL_MS: "500" } })
  const { events } = bank.bus.names
  const node = await bank.startNode()
  await bank.pay(20)
  await bank.check()
  await bank.pay(60)
  await until("the calls are under way", () => bank.calls().length === 20 + 60)
  await limit(events, await bytesOf(events), "new")
  await until("a commit waits", () => node.stderr().includes("cannot publish what is committed"))
  await limit(events, -1)
  await bank.check({ withinMs: 60_000 })
  expect(bank.paidTwice()).toBe(0)
})

test("a full stream of sessions: steps are tried again, and done once there is room", { timeout: 60_000 }, async () => {
  bank = await Bank.open({ env: { BACKOFF_MS: "500" } })
  const sessions = bank.bus.names.sessionsOf("any")
  await bank.startNode()
  await bank.pay(100)
  await bank.check()
  await limit(sessions, (await bytesOf(sessions)) + 1_000, "new")
  await bank.pay(4) // fewer than would have the agents kept from their events
  await until("it says so", () => bank.nodes[0]?.stderr().includes("STREAM_FULL") === true)
  await limit(sessions, -1)
  await bank.check({ withinMs: 60_000 })
  expect(bank.paidTwice()).toBe(0)
})

const SYSTEM = { mount: "mount", unmount: "umount" }
const MOUNTS = LONG && process.platform === "linux" && process.getuid?.() === 0

/** A file system of so many bytes, until the test is over. */
function mountDisk(size: string): string {
  const disk = mkdtempSync(join(tmpdir(), "murmur-disk-"))
  execFileSync(SYSTEM.mount, ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk])
  onTestFinished(async () => {
    await bank?.close()
    execFileSync(SYSTEM.unmount, [disk])
    rmSync(disk, { recursive: true, force: true })
  })
  return disk
}

/** Pays until a payment is not taken. @returns how many were, and what was said of the last one */
async function payUntilRefused(): Promise<{ readonly accepted: number; readonly refusal: unknown }> {
  for (let accepted = bank.paid; ; accepted++) {
    try {
      await bank.bus.publish(payment(accepted), { producer: "cli", timeoutMs: 4_000 })
    } catch (refusal) {
      return { accepted, refusal }
    }
  }
}

const fullDisk = "a full disk: nodes stay up, and after a restart with room again nothing is missing"
test.skipIf(!MOUNTS)(fullDisk, { timeout: 300_000 }, async () => {
  const disk = mountDisk("24m")
  // the server takes no stream that may become larger than its disk seems to be
  bank = await Bank.open({ config: `jetstream { store_dir: ${JSON.stringify(disk)}, max_file_store: 100GB }` })
  const node = await bank.startNode()
  await bank.pay(200)
  await bank.check()
  writeFileSync(join(disk, "filler"), Buffer.alloc(statfsSync(disk).bavail * statfsSync(disk).bsize - 64 * 1024))
  const { accepted, refusal } = await payUntilRefused()
  expect(refusal).toMatchObject({ code: expect.stringMatching(/^(STREAM_FULL|PUBLISH_REFUSED|BUS_UNAVAILABLE)$/) })
  expect(node.child.exitCode).toBe(null)
  rmSync(join(disk, "filler"))
  await bank.server.restart()
  await until("the server is back", async () => (await bank.countOf("bank.paid")) !== undefined)
  const stored = (await bank.countOf("bank.paid")) ?? 0
  expect(stored, "all that was accepted, and the last one perhaps").toBeGreaterThanOrEqual(accepted)
  await bank.check({ payments: stored, withinMs: 120_000, storedOnce: false })
  expect(node.child.exitCode).toBe(null)
})
