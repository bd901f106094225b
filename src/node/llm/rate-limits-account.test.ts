import { expect, test } from "vitest"
import { systemClock } from "../../agents/clock.js"
import type { BucketEntry } from "../../bus/bucket.js"
import { MurmurError } from "../../errors.js"
import type { RateLimits } from "../../gateways/broker/ports.js"
import { silentLog } from "../../telemetry/ports.js"
import { SharedAccount } from "./rate-limits-account.js"
import { readRecord } from "./rate-limits-record.js"
import { ServerTime } from "./rate-limits-time.js"

const NEVER = new AbortController().signal

/** A record in memory. `onWrite` may wait before a write is answered, or refuse it before it is made. */
function inMemory(onWrite: { before?: () => void; after?: () => Promise<void> } = {}) {
  const writes: BucketEntry[] = []
  const write = async (value: unknown, revision: number): Promise<number> => {
    onWrite.before?.()
    expect(revision).toBe(writes.length)
    writes.push({ key: "k", value, revision: writes.length + 1, at: new Date() })
    const written = writes.length
    await onWrite.after?.()
    return written
  }
  return {
    onWrite,
    writes,
    records: () => writes.map(readRecord),
    store: { key: "k", get: async () => writes.at(-1), create: (value: unknown) => write(value, 0), update: write },
  }
}

function open(memory: ReturnType<typeof inMemory>, graceMs = 200) {
  const clock = systemClock
  const time = new ServerTime(clock)
  time.answer(Date.now() - 5)
  const ports = { time, clock, random: Math.random, log: silentLog, windowMs: 1_000, graceMs }
  const account = new SharedAccount({ store: memory.store, ...ports })
  const take = (limits: RateLimits, tokens = 0, signal = NEVER) =>
    account.take({ provider: "p", account: "a", tokens }, limits, signal)
  return { account, take }
}

const pause = (ms: number): Promise<void> => systemClock.delay(ms)

test("a permit that comes too late is not used: it is given back, and the next has more time", async () => {
  const memory = inMemory({ after: () => pause(memory.writes.length === 1 ? 150 : 1) })
  const { take } = open(memory)
  await take({ requestsPerMinute: 5 })
  const [first, second] = memory.records()
  expect(first?.sent).toMatchObject([{ requests: 1, graceMs: 200 }])
  expect(second?.sent.reduce((sum, { requests }) => sum + requests, 0)).toBe(1)
  expect(second?.sent.at(-1)).toMatchObject({ requests: 1, graceMs: 400 })
})

test("a permit that is not used at once lapses", async () => {
  const { take } = open(inMemory())
  const permit = await take({ requestsPerMinute: 5 })
  expect(permit.lapsed).toBe(false)
  await expect.poll(() => permit.lapsed).toBe(true)
})

test("after a write that failed nobody knows how, nothing is given back: it may have been made", async () => {
  const memory = inMemory()
  const { take } = open(memory)
  const limits = { requestsPerMinute: 10, tokensPerMinute: 1_000 }
  const permit = await take(limits, 100)
  memory.onWrite.after = () => Promise.reject(new MurmurError("no answer", { code: "TIMEOUT" }))
  permit.used(10)
  await expect.poll(() => memory.writes.length).toBe(2)
  delete memory.onWrite.after
  await take(limits, 100)
  const tokens = memory.records().map(({ sent }) => sent.reduce((sum, slice) => sum + slice.tokens, 0))
  expect(tokens).toEqual([100, 10, 110])
})

test("a write that lost against another is made again, on what the other has written", async () => {
  const memory = inMemory()
  const [one, other] = [open(memory), open(memory)]
  await one.take({ requestsPerMinute: 2 })
  let refuse = true
  memory.onWrite.before = () => {
    if (!refuse) return
    refuse = false
    throw new MurmurError("somebody else was first", { code: "BUCKET_CONFLICT" })
  }
  await other.take({ requestsPerMinute: 2 })
  expect(
    memory
      .records()
      .at(-1)
      ?.sent.reduce((sum, { requests }) => sum + requests, 0),
  ).toBe(2)
})

test("calls that came together are granted together, by one write, and no more than there is room for", async () => {
  const memory = inMemory()
  const { take } = open(memory)
  const over = new AbortController()
  const takes = Array.from({ length: 8 }, () => take({ requestsPerMinute: 5 }, 0, over.signal))
  await Promise.all(takes.slice(0, 5))
  expect(memory.writes).toHaveLength(1)
  over.abort(new Error("enough"))
  for (const waiting of takes.slice(5)) await expect(waiting).rejects.toThrow("enough")
})

test("a call that left while its permit was written gives it back", async () => {
  let answer = (): void => {}
  const memory = inMemory({ after: () => new Promise((resolve) => (answer = resolve)) })
  const { take } = open(memory)
  const leaving = new AbortController()
  const left = take({ requestsPerMinute: 1 }, 0, leaving.signal)
  left.catch(() => {})
  await expect.poll(() => memory.writes.length, { interval: 1 }).toBe(1)
  leaving.abort(new Error("gone"))
  await expect(left).rejects.toThrow("gone")
  delete memory.onWrite.after
  answer()
  const begin = performance.now()
  await take({ requestsPerMinute: 1 })
  expect(performance.now() - begin).toBeLessThan(800)
})

test("a closed account lets nobody wait", async () => {
  const { account, take } = open(inMemory({ after: () => pause(50) }))
  const waiting = take({ requestsPerMinute: 1 })
  account.close(new Error("the node stops"))
  await expect(waiting).rejects.toThrow("the node stops")
  await expect(take({ requestsPerMinute: 1 })).rejects.toThrow("the node stops")
})
