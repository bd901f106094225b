import { setTimeout as delay } from "node:timers/promises"
import { afterEach, expect, test } from "vitest"
import { resetDurable } from "../../src/bus/consumers.js"
import { until } from "../support/mesh.js"
import { Bank } from "./support/bank.js"
import { type Frame, isDeliveryAck, isPublishAck } from "./support/nats-frames.js"
import { chance, LASTS_MS, longTest, sized } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

/** Whether a frame answers one of the three writes of a step: a journal record, a commit, an output. */
function answersWrite(frame: Frame): boolean {
  const { names } = bank.bus
  return [names.events, names.sessionsOf("any"), names.stepsOf("any")].some((stream) => isPublishAck(frame, stream))
}

test("answers to writes that never arrive: what they answer is stored once", { timeout: 120_000 }, async () => {
  const random = chance()
  bank = await Bank.open()
  let swallowed = 0
  const proxy = await bank.proxy()
  proxy.judge((frame) => {
    if (!answersWrite(frame) || random() > 0.1) return "pass"
    swallowed += 1
    return "swallow"
  })
  await bank.startNode()
  await bank.pay(sized(100, 2_000))
  await until("the first are booked", async () => ((await bank.countOf("bank.receipt")) ?? 0) >= 20, 30_000)
  proxy.judge(undefined)
  await bank.check({ withinMs: 120_000 })
  expect(swallowed).toBeGreaterThan(20)
  expect(bank.paidTwice()).toBe(0)
})

test("acks of finished events that never arrive: nothing is done again", { timeout: 120_000 }, async () => {
  bank = await Bank.open()
  let swallowed = 0
  const proxy = await bank.proxy()
  proxy.judge((frame) => {
    if (!isDeliveryAck(frame)) return "pass"
    swallowed += 1
    return "swallow"
  })
  await bank.startNode()
  await bank.pay(300)
  await until("all are booked", async () => (await bank.countOf("bank.receipt")) === 300)
  expect(swallowed).toBeGreaterThan(300)
  proxy.judge(undefined)
  const { link, names } = bank.bus
  for await (const { name } of link.manager.consumers.list(names.events)) await resetDurable(link, names.events, name)
  await bank.check()
  expect(bank.paidTwice()).toBe(0)
})

test("connections that break in the middle of it", { timeout: LASTS_MS + 180_000 }, async () => {
  const random = chance()
  bank = await Bank.open({ env: { CALL_MS: "5" } })
  const proxy = await bank.proxy()
  const node = await bank.startNode()
  const rounds = sized(3, Math.ceil(LASTS_MS / 2_500))
  for (let round = 0; round < rounds; round++) {
    await bank.pay(200)
    await delay(100 + sized(200, 1_000) * random())
    expect(proxy.breakAll()).toBe(1)
    await until("it is back", () => proxy.connections === 1)
  }
  await bank.check({ withinMs: 120_000 })
  expect(bank.paidTwice()).toBe(0)
  expect(node.stderr(), "a bus that is away is nobody's failure").not.toMatch(/a step failed|quarantined/)
})

longTest("a network that is away again and again, for longer than a pin", { timeout: LASTS_MS + 240_000 }, async () => {
  const random = chance()
  bank = await Bank.open({ env: { CALL_MS: "5" } })
  const proxy = await bank.proxy()
  await bank.startNode() // behind the proxy, as the second one
  await bank.startNode()
  const end = Date.now() + LASTS_MS
  while (Date.now() < end) {
    await bank.pay(300)
    await delay(1_000 * random())
    proxy.refuse(true)
    await delay(6_000 * random())
    proxy.refuse(false)
    await until("both are back", () => proxy.connections === 2)
  }
  await bank.check({ withinMs: 120_000 })
})
