import { describe, expect, test } from "vitest"
import { type Outcome, simulate } from "./simulate.js"

/** How many seeds are run, all shards together. `SIM_SEEDS` says otherwise; `SIM_SEED` runs one and shows it. */
const SEEDS = Number(process.env.SIM_SEEDS ?? 10_000)
const ONE = process.env.SIM_SEED
/** One test reports this often that it goes on. */
const SEEDS_PER_TEST = 250
const FAILURES_MAX = 3
const TRACE_LINES_MAX = 400
const TIMEOUT_MS = 600_000

/** Runs every so many-th seed: a file a shard, so that the shards run beside each other. */
export function sweep(shard: number, shards: number): void {
  if (ONE !== undefined) {
    test.runIf(shard === 1)(`seed ${ONE}`, () => replay(ONE), TIMEOUT_MS)
    return
  }
  const own = Array.from({ length: SEEDS }, (_, n) => n + 1).filter((seed) => seed % shards === shard % shards)
  const parts = Array.from({ length: Math.ceil(own.length / SEEDS_PER_TEST) }, (_, n) =>
    own.slice(n * SEEDS_PER_TEST, (n + 1) * SEEDS_PER_TEST),
  )
  describe.each(parts.map((seeds) => ({ from: seeds[0], to: seeds.at(-1), seeds })))(
    "seeds $from to $to",
    ({ seeds }) => {
      test("what murmur promises holds", () => runAll(seeds), TIMEOUT_MS)
    },
  )
}

async function runAll(seeds: readonly number[]): Promise<void> {
  const failed: Outcome[] = []
  for (const seed of seeds) {
    const outcome = await simulate(`${seed}`)
    if (outcome.violations.length > 0) failed.push(outcome)
    if (failed.length >= FAILURES_MAX) break
    // between runs the reporter may speak
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(failed.map(report).join("\n\n"), "what did not hold, by seed").toBe("")
}

function report({ seed, violations }: Outcome): string {
  const again = `SIM_SEED=${seed} npx vitest run test/sim/seeds-1.test.ts`
  return `seed ${seed}, again with its trace by: ${again}\n${violations.map((text) => `  ${text}`).join("\n")}`
}

/** Runs one seed and shows all that happened in it. */
async function replay(seed: string): Promise<void> {
  const { scenario, trace, violations, counts } = await simulate(seed, { trace: true })
  const skipped = Math.max(0, trace.length - TRACE_LINES_MAX)
  const lines = [
    `seed ${seed}: ${JSON.stringify(scenario)}`,
    ...(skipped > 0 && process.env.SIM_TRACE !== "all" ? [`(${skipped} lines before; SIM_TRACE=all shows them)`] : []),
    ...(process.env.SIM_TRACE === "all" ? trace : trace.slice(skipped)),
    ...violations.map((text) => `VIOLATED ${text}`),
    JSON.stringify(counts),
  ]
  process.stdout.write(`${lines.join("\n")}\n`)
  expect(violations).toEqual([])
}
