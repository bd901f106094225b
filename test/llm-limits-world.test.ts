import { describe, expect, test } from "vitest"
import type { RateLimits } from "../src/gateways/broker/ports.js"
import { type Arrival, mostIn } from "./support/llm/arrivals.js"
import { LimitsWorld } from "./support/llm/limits-world.js"

const WINDOW_MS = 5_000

describe("in a world where messages are late or lost, clocks are wrong and nodes die", () => {
  test.each([
    ["requests", { requestsPerMinute: 30 }, 5, 0.02],
    ["requests, while the bus is slow", { requestsPerMinute: 30 }, 5, 0.3],
    ["tokens", { tokensPerMinute: 1_500 }, 5, 0.02],
    ["both", { requestsPerMinute: 40, tokensPerMinute: 2_000 }, 5, 0.02],
    ["many requests, some reserved ahead", { requestsPerMinute: 200 }, 20, 0.02],
  ] as const)("no window has more than the limit of %s", async (_, limits: RateLimits, atATime, slow) => {
    const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits
    let mostSeen = 0
    for (let seed = 1; seed <= 6; seed++) {
      const world = new LimitsWorld({ seed, nodes: 3, limits, windowMs: WINDOW_MS, atATime, slow })
      for (let kills = 0; kills < 5; kills++) {
        await world.run(world.random() * 2 * WINDOW_MS)
        world.replaceOne()
      }
      await world.run(WINDOW_MS)
      const most = mostIn(world.arrivals, WINDOW_MS)
      mostSeen = Math.max(mostSeen, most / requestsPerMinute, tokensIn(world.arrivals) / tokensPerMinute)
      expect(most, `seed ${seed}`).toBeLessThanOrEqual(requestsPerMinute)
      expect(tokensIn(world.arrivals), `seed ${seed}`).toBeLessThanOrEqual(tokensPerMinute)
    }
    expect(mostSeen).toBeGreaterThan(0.9) // it was the limit that held them
  })
})

const tokensIn = (arrivals: readonly Arrival[]): number => mostIn(arrivals, WINDOW_MS, ({ tokens }) => tokens)
