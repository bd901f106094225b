import { MurmurError, TerminalError } from "../../errors.js"
import type { BranchContext } from "../branch-context.js"
import type { StepContext } from "../context.js"

/** What runs beside something else. It uses the context that it is given, and no other. */
export type BranchWork<T = unknown> = (ctx: BranchContext) => Promise<T> | T

/** What each of several branches returns, in the shape in which they were given. */
export type ParallelResults<W> = {
  -readonly [N in keyof W]: W[N] extends (...args: never[]) => infer Out ? Awaited<Out> : never
}

/** How branches run side by side. */
export interface ParallelOptions {
  /** How many run at a time. Default 8. */
  readonly concurrency?: number
}

const CONCURRENCY = 8

/**
 * Runs branches side by side, each with a context of its own: whichever is faster, the step is the same on each attempt.
 * What they emit and record takes effect in the order in which they were given.
 *
 * When one fails no further one begins; the error is thrown when those that run have ended, what they wait for included:
 * what they have begun is paid. A terminal error goes before others. Nothing that a branch has emitted or recorded counts
 * then.
 *
 * @param branches a list, or an object; the results have the same shape
 * @throws MurmurError `WORKFLOW_OPTION`; what a branch throws
 * @example
 * const { facts, tone } = await parallel(ctx, {
 *   facts: (ctx) => ctx.delegate(checker, { text }),
 *   tone: (ctx) => ctx.delegate(editor, { text }),
 * })
 */
export async function parallel<const W extends readonly BranchWork[] | Readonly<Record<string, BranchWork>>>(
  ctx: StepContext,
  branches: W,
  options: ParallelOptions = {},
): Promise<ParallelResults<W>> {
  const concurrency = checkConcurrency(options)
  const names = Object.keys(branches)
  const works = Object.values(branches) as readonly BranchWork[]
  const results = await runAll(ctx, works, concurrency)
  if (Array.isArray(branches)) return results as ParallelResults<W>
  return Object.fromEntries(names.map((name, n) => [name, results[n]])) as ParallelResults<W>
}

/** @throws MurmurError `WORKFLOW_OPTION` */
function checkConcurrency(options: ParallelOptions): number {
  const unknown = Object.keys(options).find((name) => name !== "concurrency")
  const fail = (why: string): never => {
    throw new MurmurError(`Cannot run branches side by side: ${why}`, { code: "WORKFLOW_OPTION" })
  }
  if (unknown !== undefined) fail(`unknown option "${unknown}" (known: concurrency)`)
  const { concurrency = CONCURRENCY } = options
  if (Number.isSafeInteger(concurrency) && concurrency >= 1) return concurrency
  return fail(`concurrency must be an integer >= 1, is ${String(concurrency)}`)
}

/** All branches are made before the first one runs: their places in the step follow from their order alone. */
async function runAll(ctx: StepContext, works: readonly BranchWork[], concurrency: number): Promise<unknown[]> {
  const branches = works.map((work) => ({ work, ctx: ctx.branch() }))
  const results: unknown[] = new Array(works.length)
  const failures: { readonly n: number; readonly error: unknown }[] = []
  const queue = branches.entries()
  const runner = async (): Promise<void> => {
    for (const [n, branch] of queue) {
      if (failures.length > 0) return
      try {
        results[n] = await branch.work(branch.ctx)
      } catch (error) {
        failures.push({ n, error })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, works.length) }, runner))
  if (failures.length > 0) throw worst(failures)
  for (const branch of branches) branch.ctx.end()
  return results
}

function worst(failures: readonly { readonly n: number; readonly error: unknown }[]): unknown {
  const inOrder = failures.toSorted((a, b) => a.n - b.n)
  return (inOrder.find(({ error }) => error instanceof TerminalError) ?? inOrder[0])?.error
}
