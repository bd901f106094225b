import { afterEach, expect, test } from "vitest"
import type { DeadLetter } from "../../src/agents/dead-letters.js"
import { DeadLetters } from "../../src/node/dead-letter-store.js"
import { murmurAt } from "../cli/support/cli.js"
import { until } from "../support/mesh.js"
import { ACCOUNTS, Bank } from "./support/bank.js"

let bank: Bank
afterEach(() => bank?.close())

const PAYMENTS = 1_000
const POISON = 123

async function letters(): Promise<DeadLetter[]> {
  const found: DeadLetter[] = []
  for await (const { letter } of new DeadLetters(bank.bus).list()) found.push(letter)
  return found
}

test("one poison payment among 1,000: 999 are done, it is laid aside after five attempts, and done once it is retried", {
  timeout: 120_000,
}, async () => {
  bank = await Bank.open({ env: { BACKOFF_MS: "5" } })
  const node = await bank.startNode({ POISON: String(POISON) })
  await bank.pay(PAYMENTS)
  const { teller } = await bank.check({ dead: 1 })
  expect(teller.dead).toEqual(new Set([`payment-${POISON}`]))
  const [letter, ...more] = await letters()
  expect(more).toEqual([])
  expect(letter).toMatchObject({
    agent: "teller",
    reason: "failed",
    event: { id: `payment-${POISON}`, data: { n: POISON } },
    error: { message: `cannot book ${POISON}` },
  })
  expect(letter?.attempts.map(({ message }) => message)).toEqual(Array(5).fill(`cannot book ${POISON}`))
  const later = `account-${POISON % ACCOUNTS}`
  const session = [...teller.sessions].find(([subject]) => subject.endsWith(`.${later}`))
  expect(session?.[1], "the other payments of its account").toHaveLength(PAYMENTS / ACCOUNTS - 1)
  expect(bank.paidTwice(), "its call was journaled").toBe(0)

  expect(await node.terminate()).toBe(0)
  await bank.startNode() // with the fault mended
  const murmur = murmurAt(bank.server.url)
  expect(await murmur("dead", "retry", letter?.id ?? "")).toMatchObject({ code: 0 })
  await until("it is booked", async () => (await bank.countOf("bank.receipt")) === PAYMENTS)
  const after = await bank.check()
  expect(await letters()).toEqual([])
  expect(
    [...after.teller.sessions.values()].flat().filter(({ cause }) => cause.id === `payment-${POISON}`),
  ).toHaveLength(1)
  expect(bank.paidTwice()).toBe(0)
})
