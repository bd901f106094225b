import type { BranchContext } from "../branch-context.js"
import type { StepContext } from "../context.js"
import { type ParallelOptions, parallel } from "./parallel.js"

/** What is done with each item, and then with all that came of it. */
export interface MapReduce<Item, Mapped, Out> extends ParallelOptions {
  map(item: Item, ctx: BranchContext, index: number): Promise<Mapped> | Mapped
  /** @param mapped in the order of the items */
  reduce(mapped: Mapped[], ctx: StepContext): Promise<Out> | Out
}

/**
 * Does the same with each item, side by side, and then something with all results. As {@link parallel} with one branch an
 * item.
 *
 * @throws as {@link parallel}
 * @example
 * const report = await mapReduce(ctx, files, {
 *   concurrency: 4,
 *   map: (file, ctx) => ctx.delegate(reviewer, { file }),
 *   reduce: (findings, ctx) => ctx.delegate(editor, { findings }),
 * })
 */
export async function mapReduce<Item, Mapped, Out>(
  ctx: StepContext,
  items: readonly Item[],
  { map, reduce, ...options }: MapReduce<Item, Mapped, Out>,
): Promise<Out> {
  const works = items.map((item, index) => (branch: BranchContext) => map(item, branch, index))
  const mapped = await parallel(ctx, works, options)
  return reduce([...mapped] as Mapped[], ctx)
}
