import { canonical } from "../../router/canonical.js"
import type { TaskResult } from "./task.js"

/** Is more than half of all. */
export function isMajority(count: number, all: number): boolean {
  return count * 2 > all
}

/** How often the output is given that is given most. */
export function largestVote(results: readonly TaskResult[]): { readonly output: unknown; readonly count: number } {
  const votes = new Map<string, { readonly output: unknown; count: number }>()
  let largest: { readonly output: unknown; count: number } = { output: undefined, count: 0 }
  for (const result of results) {
    if (!result.ok) continue
    const text = canonical(result.output ?? null)
    const vote = votes.get(text) ?? { output: result.output, count: 0 }
    vote.count += 1
    votes.set(text, vote)
    if (vote.count > largest.count) largest = vote
  }
  return largest
}

/**
 * What more than half of the agents have replied, all that were asked counted; `undefined` when they do not agree. Replies
 * are the same when they are the same JSON.
 *
 * @example
 * const results = await ctx.gather(judges.map((agent) => ({ agent, input })), { mode: "agreement" })
 * const verdict = agreed(results)
 */
export function agreed<Output>(results: readonly TaskResult<Output>[]): Output | undefined {
  const { output, count } = largestVote(results)
  return isMajority(count, results.length) ? (output as Output) : undefined
}
