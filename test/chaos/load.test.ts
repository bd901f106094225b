import { afterEach, expect, test } from "vitest"
import { until } from "../support/mesh.js"
import { Bank } from "./support/bank.js"
import { residentMb } from "./support/inspector.js"
import { LONG, longTest, sized } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

test("steady load on two nodes: each payment once in each agent, nothing paid twice", {
  timeout: 300_000,
}, async () => {
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  await bank.startNode()
  await bank.startNode()
  const payments = sized(1_000, 10_000)
  for (let n = 0; n < payments; n += 100) {
    await bank.pay(100)
    if (LONG)
      await until("not too far ahead", async () => bank.paid - ((await bank.countOf("bank.receipt")) ?? 0) < 500)
  }
  const { teller } = await bank.check({ withinMs: 120_000 })
  expect(teller.outputs).toHaveLength(2 * payments)
  expect(bank.paidTwice()).toBe(0)
  for (const node of bank.nodes) expect(await node.terminate()).toBe(0)
})

longTest("a burst of 50,000 while no node runs is done by one, within its bounds", { timeout: 600_000 }, async () => {
  bank = await Bank.open()
  const first = await bank.startNode() // so that the consumers are there
  expect(await first.terminate()).toBe(0)
  await bank.pay(50_000)
  const node = await bank.startNode()
  const pid = node.child.pid ?? 0
  let mostMb = 0
  let mostUnacked = 0
  await until(
    "all are booked",
    async () => {
      mostMb = Math.max(mostMb, residentMb(pid))
      const { num_ack_pending: unacked } = await bank.bus.link.manager.consumers.info(bank.bus.names.events, "teller")
      mostUnacked = Math.max(mostUnacked, unacked)
      return (await bank.countOf("bank.receipt")) === 50_000
    },
    300_000,
  )
  expect(mostUnacked).toBeLessThanOrEqual(1_000)
  expect(mostMb).toBeLessThan(512)
  await bank.check({ withinMs: 120_000 })
  expect(bank.paidTwice()).toBe(0)
})
