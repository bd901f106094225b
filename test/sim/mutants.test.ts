import { expect, test } from "vitest"
import { MUTANTS } from "./run/mutants.js"
import { simulate } from "./run/simulate.js"

/** A mistake has to be found in so many runs. */
const SEEDS_MAX = 600

/** The first seed that finds it. */
async function firstFound(name: string): Promise<number | undefined> {
  const { tamper, found } = MUTANTS[name] ?? {}
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { violations } = await simulate(`${seed}`, { tamper })
    // it has to be the mistake that is found, and nothing that is there without it
    if (violations.some((text) => found?.test(text)) && (await simulate(`${seed}`)).violations.length === 0) return seed
  }
  return undefined
}

test.each(Object.keys(MUTANTS))(
  "is found: %s",
  async (name) => {
    const seed = await firstFound(name)

    expect(seed, "the seed that finds it").toBeDefined()
  },
  120_000,
)

test("a seed is one run: the same turns, the same trace", async () => {
  // the one thing in it that is not the seed's: how a process tells its own run from others
  const readable = (trace: readonly string[]): string[] => trace.map((line) => line.replace(/"run":"[^"]*"/, ""))
  for (const seed of ["3", "7", "21"]) {
    const [once, again] = [await simulate(seed, { trace: true }), await simulate(seed, { trace: true })]
    expect(readable(again.trace)).toEqual(readable(once.trace))
    expect(once.trace.length).toBeGreaterThan(20)
    expect((await simulate(seed)).counts).toEqual(once.counts)
  }
})
