import { afterEach, beforeEach, expect, test } from "vitest"
import { type WindowClose, WindowLog } from "../src/agents/windows/checkpoint.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { SealedEvent } from "../src/bus/encode.js"
import { seal } from "../src/bus/encode.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test", mesh: "test" })
  await bus.ensureStreams()
})
afterEach(async () => {
  await bus.close()
  await server.stop()
})

const output = (n: number): SealedEvent =>
  seal({ type: "sum", data: n, id: `o${n}` }, { mesh: "test", producer: "sums" })
const close = (key: string | null, through: number, outputs: SealedEvent[] = [], operator = 0): WindowClose => ({
  key,
  operator,
  through,
  outputs,
})
const open = (on = bus) => WindowLog.open(on, "sums", 0)
const messages = async () => {
  const query = { subjects_filter: "test.ses.sums._windows.0" }
  const { state } = await bus.link.manager.streams.info(bus.names.sessionsOf("any"), query)
  return state.subjects?.["test.ses.sums._windows.0"] ?? 0
}

test("what was committed is read again: where to rebuild from, how far keys are closed, what was promised, what is poisoned", async () => {
  const log = await open()
  expect([log.rebuildFrom, log.inDoubt]).toEqual([0, undefined])
  await log.claim(17)
  expect(log.rebuildFrom).toBe(17)
  await log.commit([close("a", 10, [output(1)]), close(null, 20, [], 1)], 30, [31, 29])
  const again = await open()
  expect(again.rebuildFrom).toBe(30)
  expect(again.inDoubt?.outputs).toEqual([output(1)].map((each) => ({ ...each, time: expect.any(String) })))
  expect([again.closedThrough("a", 0), again.closedThrough(undefined, 1)]).toEqual([10, 20])
  expect([again.closedThrough("a", 1), again.closedThrough("b", 0)]).toEqual([-Infinity, -Infinity])
  expect([again.isPoisoned(31), again.isPoisoned(29)]).toEqual([true, false])
  await again.claim(99)
  expect(again.rebuildFrom).toBe(30)
})

test("keys of any text are told apart from one another and from none", async () => {
  const keys = ["", "-", "=", "0=a", "a\u0000b", "ключ", "x".repeat(5_000)]
  const log = await open()
  await log.claim(1)
  await log.commit([...keys.map((key, n) => close(key, n)), close(null, 100)], 1, [])
  const again = await open()
  expect(keys.map((key) => again.closedThrough(key, 0))).toEqual(keys.map((_, n) => n))
  expect(again.closedThrough(undefined, 0)).toBe(100)
})

test("another writer is noticed, and whoever claims last is the writer", async () => {
  const first = await open()
  await first.claim(1)
  const second = await open()
  await second.claim(1)
  await expect(first.commit([], 5, [])).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
  await second.commit([close("a", 1)], 6, [])
  await expect(first.claim(1)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
  expect((await open()).rebuildFrom).toBe(6)
})

test("a commit whose ack got lost, and that was sent again, is known as one's own", async () => {
  const stubborn = Object.create(bus, {
    publisher: {
      value: {
        append: async (...args: Parameters<Bus["publisher"]["append"]>) => {
          await bus.publisher.append(...args) // stored, but the ack is lost
          return bus.publisher.append(...args)
        },
      },
    },
  }) as Bus
  const log = await open(stubborn)
  await log.claim(1)
  await log.commit([close("a", 10)], 2, [])
  await log.commit([close("a", 20)], 3, [])
  expect(await messages()).toBe(3)
  expect((await open()).closedThrough("a", 0)).toBe(20)
  const other = await open()
  await other.claim(1)
  await expect(log.commit([close("a", 30)], 4, [])).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
})

test("after many commits the log is short again, and knows of every key how far it is closed", {
  timeout: 60_000,
}, async () => {
  const log = await open()
  await log.claim(1)
  const long = "k".repeat(300) // all keys together need more than one record of a snapshot
  const keys = Array.from({ length: 1_200 }, (_, n) => `${long}${n}`)
  for (const [n, key] of keys.entries())
    await log.commit([close(key, n, [output(n)])], n + 2, n === 1_199 ? [5_000] : [])
  expect(await messages()).toBeLessThan(300)
  const again = await open()
  expect(again.rebuildFrom).toBe(1_201)
  expect(keys.every((key, n) => again.closedThrough(key, 0) === n)).toBe(true)
  expect(again.isPoisoned(5_000)).toBe(true)
  expect(again.inDoubt?.outputs.map(({ id }) => id)).toEqual(["o1199"])
  // and once more, from what was read
  await again.claim(1)
  for (let n = 0; n < 1_000; n++) await again.commit([close("last", n)], 2_000 + n, [])
  const third = await open()
  expect(keys.every((key, n) => third.closedThrough(key, 0) === n)).toBe(true)
  expect(third.closedThrough("last", 0)).toBe(999)
  expect(await messages()).toBeLessThan(300)
})

test("a crash in the middle of a compaction loses nothing", { timeout: 60_000 }, async () => {
  let appends = 0
  const dying = Object.create(bus, {
    publisher: {
      value: {
        append: (...args: Parameters<Bus["publisher"]["append"]>) => {
          appends += 1
          if (appends === 1_002) throw new Error("the process dies") // the snapshot is stored, the commit behind it is not
          return bus.publisher.append(...args)
        },
      },
    },
  }) as Bus
  const log = await open(dying)
  await log.claim(1)
  const commits = async () => {
    for (let n = 0; n < 2_000; n++) await log.commit([close(`k${n % 7}`, n, [output(n)])], n, [])
  }
  await expect(commits()).rejects.toThrow("the process dies")
  const again = await open()
  expect([0, 1, 2, 3, 4, 5, 6].map((k) => again.closedThrough(`k${k}`, 0))).toEqual([994, 995, 996, 997, 998, 992, 993])
  expect(again.rebuildFrom).toBe(998)
  expect(again.inDoubt?.outputs.map(({ id }) => id)).toEqual(["o998"])
  await again.claim(1)
  await again.commit([close("k0", 5_000)], 7, [])
  expect((await open()).closedThrough("k0", 0)).toBe(5_000)
  expect(await messages()).toBeLessThan(20)
})

test("a record that murmur did not write is an error that says where", async () => {
  await bus.publisher.append("test.ses.sums._windows.0", Buffer.from("{}"))
  await expect(open()).rejects.toMatchObject({ code: "WINDOW_LOG", message: expect.stringContaining("_windows.0") })
})
