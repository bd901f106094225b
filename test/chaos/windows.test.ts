import { afterAll, afterEach, describe, expect, test } from "vitest"
import { resetDurable } from "../../src/bus/consumers.js"
import { readAll } from "../support/checker.js"
import { until } from "../support/mesh.js"
import { Bank, payment } from "./support/bank.js"
import { chance } from "./support/scale.js"

let bank: Bank
afterEach(() => bank?.close())

/** As short as a server takes it. */
const WINDOW_MS = 100

describe.concurrent("outside of the server's dedup window", () => {
  const banks: Bank[] = []
  afterAll(async () => {
    for (const bank of banks) await bank.close()
  })
  const open = async (): Promise<Bank> => {
    const bank = await Bank.open()
    banks.push(bank)
    return bank
  }

  test.each(["P6", "P7", "P8"])("a crash at %s stores no output twice", { timeout: 60_000 }, async (point) => {
    const bank = await open()
    const first = await bank.startNode({ MURMUR_CRASH_POINT: `${point}:kill:5` })
    await bank.dedupFor(WINDOW_MS)
    await bank.pay(20)
    await until("it is dead", () => first.child.signalCode === "SIGKILL")
    const died = Date.now()
    await until("the window is over", () => Date.now() - died > 2 * WINDOW_MS)
    await bank.startNode()
    const { teller } = await bank.check()
    expect(teller.outputs).toHaveLength(2 * 20)
    expect(bank.paidTwice()).toBe(0)
  })

  test("an event that comes ten times is committed once, and called for once", { timeout: 60_000 }, async () => {
    const bank = await open()
    await bank.startNode()
    await bank.dedupFor(WINDOW_MS)
    await bank.pay(20)
    for (let turn = 0; turn < 9; turn++) {
      const sent = Date.now()
      await until("the window is over", () => Date.now() - sent > 2 * WINDOW_MS)
      for (let n = 0; n < 20; n++) {
        const { duplicate } = await bank.bus.publish(payment(n), { producer: "cli" })
        expect(duplicate).toBe(false)
      }
    }
    const { names } = bank.bus
    expect(await readAll(bank.bus, names.events, names.storedFilter("bank.paid"))).toHaveLength(200)
    const { teller } = await bank.check()
    expect(teller.outputs).toHaveLength(2 * 20)
    expect(bank.calls()).toHaveLength(20)
  })
})

test("inside of the window the server itself drops what comes again", { timeout: 60_000 }, async () => {
  bank = await Bank.open()
  await bank.startNode()
  await bank.pay(20)
  for (let n = 0; n < 200; n++) await bank.bus.publish(payment(n % 20), { producer: "cli" })
  const { names } = bank.bus
  expect(await readAll(bank.bus, names.events, names.storedFilter("bank.paid"))).toHaveLength(20)
  await bank.check()
  expect(bank.calls()).toHaveLength(20)
})

test("events that say another time, and deliveries that begin anew, change no order within a key", {
  timeout: 60_000,
}, async () => {
  const random = chance()
  bank = await Bank.open({ env: { CALL_MS: "5" } })
  const { names, link } = bank.bus
  await bank.startNode()
  const started = Date.now()
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 100; n++) {
      const time = new Date(started + Math.round((random() - 0.5) * 86_400_000)).toISOString()
      await bank.bus.publish({ ...payment(round * 100 + n, 3), time }, { producer: "cli" })
    }
    for (const durable of ["teller", "clerk"]) await resetDurable(link, names.events, durable)
  }
  const stored = (await bank.countOf("bank.paid")) ?? 0
  expect(stored).toBe(500)
  await until("all are booked", async () => (await bank.countOf("bank.receipt")) === stored)
  await bank.check({ payments: stored }) // the checker holds commits and outputs to the stream's order
  expect(bank.paidTwice()).toBe(0)
})
