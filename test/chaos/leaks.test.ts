import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import { until } from "../support/mesh.js"
import { Bank } from "./support/bank.js"
import { type Held, INSPECTABLE, inspect } from "./support/inspector.js"
import { longTest, sized } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

const LEAKY = fileURLToPath(new URL("./fixtures/leaky.ts", import.meta.url))
/** After these, buffers and tables have their size and code is compiled. */
const WARM_UP = 1_500
const LOAD = sized(1_500, 30_000)
/** What stays for an event of three sessions: that it was handled. A leak of an event is some thousand bytes. */
const BYTES_PER_EVENT_MAX = 1_200

interface Growth {
  readonly bytesPerEvent: number
  /** Kinds of which there are more than before. */
  readonly resources: Readonly<Record<string, number>>
}

/** What a node holds more after a load than it held before, for each event of it. */
async function growth(env: Readonly<Record<string, string>>, files: readonly string[] = []): Promise<Growth> {
  bank = await Bank.open({ env: { ...INSPECTABLE, ...env } })
  const node = await bank.startNode({}, ["--port", "0", ...files])
  const load = async (payments: number): Promise<Held> => {
    await bank.pay(payments)
    await bank.check({ withinMs: 120_000 })
    await until("outputs are acked", async () => (await bank.countOf("bank.audited")) === bank.paid)
    return inspect(node)
  }
  const before = await load(WARM_UP)
  const after = await load(LOAD)
  const more = Object.entries(after.resources).map(
    ([kind, count]) => [kind, count - (before.resources[kind] ?? 0)] as const,
  )
  return {
    bytesPerEvent: (after.heapBytes - before.heapBytes) / LOAD,
    resources: Object.fromEntries(more.filter(([kind, count]) => count > (MAY_VARY[kind] ?? 0))),
  }
}

/** Timers of requests and pulls come and go. */
const MAY_VARY: Readonly<Record<string, number>> = { Timeout: 5 }

test("a node holds after a load what it held before it", { timeout: 300_000 }, async () => {
  const { bytesPerEvent, resources } = await growth({})
  expect(bytesPerEvent).toBeLessThan(BYTES_PER_EVENT_MAX)
  expect(resources).toEqual({})
})

longTest("a node that keeps its events, and timers, is found", { timeout: 300_000 }, async () => {
  const { bytesPerEvent, resources } = await growth({ LEAK: "1" }, [LEAKY])
  expect(bytesPerEvent).toBeGreaterThan(BYTES_PER_EVENT_MAX)
  expect(Object.keys(resources)).toEqual(["Timeout"])
})
