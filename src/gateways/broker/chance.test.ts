import { expect, test } from "vitest"
import { ask } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, hang, type Reply } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import type { Meter } from "./broker.js"
import { createBroker } from "./create-broker.js"

/** Random numbers that are the same for a seed. */
function seeded(seed: number): () => number {
  let state = seed * 2_654_435_761
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const SEEDS = Array.from({ length: 25 }, (_, seed) => seed + 1)
const CALLS = 60

test.each(SEEDS)(
  "whatever goes wrong, every call ends, every reservation is settled once, and nothing is left behind: seed %i",
  async (seed) => {
    const random = seeded(seed)
    const clock = new ManualClock()
    const chance = (share: number): boolean => random() < share
    const slowly: Reply = (_request, { signal }) =>
      new Promise((done, fail) => {
        const cancel = clock.after(random() * 20_000, () => done(answer("late")))
        signal.addEventListener("abort", () => {
          cancel()
          fail(signal.reason)
        })
      })
    const replies: Reply[] = [
      ...[() => answer("ok"), () => answer("ok"), () => answer("ok"), slowly, slowly, hang, fault(500), fault(400)],
      ...[fault(429), fault(429, { retryAfterMs: 3_000 }), fault(503, { retryAfterMs: 700 }), fault(undefined)],
    ]
    const byChance: Reply = (...asked) => (replies[Math.floor(random() * replies.length)] ?? hang)(...asked)
    const gateways = [new FakeGateway("one").reply(byChance), new FakeGateway("two").reply(byChance)]
    const sent: number[] = []
    gateways[0]?.reply((...asked) => {
      sent.push(clock.now())
      return byChance(...asked)
    })
    const broker = createBroker({
      ...{ gateways, clock, random, timeoutMs: 15_000 },
      limits: { one: { concurrency: 4, requestsPerMinute: 20, tokensPerMinute: 60_000 }, two: { concurrency: 3 } },
    })
    let open = 0
    const meter: Meter = {
      active: true,
      reserve: async () => {
        if (chance(0.05)) throw new Error("no room")
        if (chance(0.2)) await new Promise<void>((done) => clock.after(100, done))
        open++
        let times = 0
        return {
          settle: () => {
            open--
            times++
            expect(times).toBe(1)
          },
        }
      },
    }
    const outcomes = { answered: 0, failed: 0 }
    const calls: Promise<void>[] = []
    for (let call = 0; call < CALLS; call++) {
      const caller = new AbortController()
      if (chance(0.2)) clock.after(random() * 30_000, () => caller.abort(new Error("gone")))
      const models = chance(0.5) ? ["one/m"] : chance(0.5) ? ["one/m", "two/m"] : ["two/m"]
      const asked = ask(broker, "word ".repeat(1 + random() * 500), {
        ...{ models, options: { maxTokens: 1_000 } },
        call: {
          ...{ signal: caller.signal, meter, priority: Math.floor(random() * 3) },
          ...(chance(0.5) && { deadlineMs: clock.now() + random() * 120_000 }),
        },
      })
      calls.push(
        asked.then(
          () => void outcomes.answered++,
          () => void outcomes.failed++,
        ),
      )
      await clock.pass(random() * 2_000)
      for (const { running, provider } of broker.status())
        expect(running).toBeLessThanOrEqual(provider === "one" ? 4 : 3)
    }
    await clock.pass(3_600_000)
    await Promise.all(calls)
    await settled()
    expect(outcomes.answered + outcomes.failed).toBe(CALLS)
    expect(outcomes.answered).toBeGreaterThan(0)
    expect(open).toBe(0)
    expect(broker.status()).toMatchObject([
      { running: 0, waiting: 0 },
      { running: 0, waiting: 0 },
    ])
    expect(clock.pending).toBe(0)
    for (const from of sent)
      expect(sent.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(20)
    await broker.close()
  },
)
