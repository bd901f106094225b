import { setTimeout as delay } from "node:timers/promises"
import { afterEach, expect, test } from "vitest"
import { until } from "../support/mesh.js"
import { Bank } from "./support/bank.js"
import { chance, LASTS_MS, longTest, sized } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

/** How many calls of the bank may be under way in a node: one for each key that is worked on at a time. */
const CONCURRENCY = 64

/** Pays without pause, no further ahead than some hundred payments, until it is told to stop. */
async function payWhile(goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    await bank.pay(50)
    await until(
      "not too far ahead",
      async () => bank.paid - ((await bank.countOf("bank.receipt")) ?? bank.paid) < 300,
      60_000,
    )
  }
}

test("a node that is told to stop under load ends well, and leaves nothing to be done twice", {
  timeout: 120_000,
}, async () => {
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  const [first] = [await bank.startNode(), await bank.startNode()]
  let paying = true
  const paid = payWhile(() => paying)
  for (let node = first, rounds = sized(1, 5); rounds > 0; rounds--) {
    const before = (await bank.countOf("bank.receipt")) ?? 0
    await until("there is load", async () => ((await bank.countOf("bank.receipt")) ?? 0) > before + 200)
    const began = Date.now()
    expect(await node.terminate()).toBe(0)
    expect(Date.now() - began).toBeLessThan(30_000)
    node = await bank.startNode()
  }
  paying = false
  await paid
  await bank.check({ withinMs: 60_000 })
  expect(bank.paidTwice()).toBe(0)
})

longTest("nodes that are killed at random, again and again", { timeout: LASTS_MS + 240_000 }, async () => {
  const random = chance()
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  const running = [await bank.startNode(), await bank.startNode()]
  const end = Date.now() + LASTS_MS
  const paid = payWhile(() => Date.now() < end)
  let kills = 0
  while (Date.now() < end) {
    await delay(1_000 + 2_000 * random())
    const [victim] = running.splice(Math.floor(random() * running.length), 1)
    await victim?.kill9()
    kills += 1
    running.push(await bank.startNode())
  }
  await paid
  await bank.check({ withinMs: 120_000 })
  expect(bank.paidTwice()).toBeLessThanOrEqual(kills * CONCURRENCY)
})

longTest("a nats-server that is killed every five seconds", { timeout: 600_000 }, async () => {
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  await bank.startNode()
  await bank.startNode()
  let paying = true
  const paid = payWhile(() => paying)
  for (let kill = 0; kill < 12; kill++) {
    await delay(5_000)
    await bank.server.kill9()
    await delay(1_000)
    await bank.server.restart()
    const before = (await bank.countOf("bank.receipt")) ?? 0
    const back = Date.now()
    await until("work goes on", async () => ((await bank.countOf("bank.receipt")) ?? 0) > before, 30_000)
    expect(Date.now() - back, "from the restart to the next result").toBeLessThan(5_000)
  }
  paying = false
  await paid
  await bank.check({ withinMs: 120_000, storedOnce: false })
})

longTest("a nats-server that is away for a minute", { timeout: 300_000 }, async () => {
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  const node = await bank.startNode({}, ["--port", "0"])
  const ready = async (): Promise<number> => (await fetch(`${node.ready.http}/readyz`)).status
  await bank.pay(1_000)
  await until("there is load", async () => ((await bank.countOf("bank.receipt")) ?? 0) > 100)
  await bank.server.kill9()
  await until("it says that it is not ready", async () => (await ready()) === 503, 15_000)
  const paid = bank.pay(1_000) // waits with the server
  await delay(60_000)
  expect(node.child.exitCode).toBe(null)
  await bank.server.restart()
  await until("it is ready again", async () => (await ready()) === 200, 10_000)
  await paid
  await bank.check({ withinMs: 60_000, storedOnce: false })
})

longTest(
  "a node that stands still for longer than the ack wait commits nothing of its own",
  {
    timeout: 300_000,
  },
  async () => {
    bank = await Bank.open({ env: { CALL_MS: "50" } })
    const zombie = await bank.startNode()
    await bank.pay(500)
    await until("it works", () => bank.calls().length > 100)
    zombie.child.kill("SIGSTOP")
    await bank.startNode()
    await bank.pay(500)
    await delay(65_000) // twice the ack wait of 30 s
    const done = async (): Promise<boolean> => (await bank.countOf("bank.receipt")) === bank.paid
    await until("the other has done all", done, 60_000)
    const before = bank.calls().length
    zombie.child.kill("SIGCONT")
    await bank.pay(200)
    await bank.check({ withinMs: 60_000 })
    expect(bank.calls().length - before, "what was under way at the stop is not called again").toBe(200)
    expect(bank.paidTwice()).toBeLessThanOrEqual(CONCURRENCY)
  },
)
