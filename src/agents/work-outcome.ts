import { ensureError, errorCode, isMurmurError, type RetryableError } from "../errors.js"
import type { BranchContext } from "./branch-context.js"
import { isBusTrouble } from "./bus-trouble.js"
import { BudgetExceeded, GuardTripped } from "./guards/guard-tripped.js"
import { NondeterminismError } from "./journal/call-hash.js"
import { isTerminal } from "./retry.js"

/** Why something failed, as it is written down. */
export interface WorkError {
  readonly code: string
  readonly message: string
  /** Whether trying again cannot help. */
  readonly terminal: boolean
  /** How long to wait before it is tried again, in milliseconds, where the error says so. */
  readonly retryAfterMs?: number
}

/** What came of something that was tried. */
export type WorkOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: WorkError }

/** The place in a step where something is tried. */
export interface WorkPlace {
  readonly signal: AbortSignal
  branch(): BranchContext
  /** What was noted before, if something was. */
  before(): Promise<WorkError | undefined>
  /** A journaled call, always at the same position. */
  noted(work: () => WorkError): Promise<WorkError>
  /** Takes secrets out of what an error says. */
  redact(text: string): string
}

/**
 * Tries something that makes calls of its own, on a branch. That it failed is journaled, so that it is not tried again when
 * the step runs again, and what it has emitted and recorded is dropped. When it succeeded there is nothing to note: each of
 * its calls is in the journal.
 *
 * @throws what keeps the step itself from going on
 */
export async function outcomeOf<T>(
  place: WorkPlace,
  work: (ctx: BranchContext) => Promise<T> | T,
): Promise<WorkOutcome<T>> {
  const branch = place.branch()
  const before = await place.before()
  if (before !== undefined) return { ok: false, error: before }
  try {
    const value = await work(branch)
    branch.end()
    return { ok: true, value }
  } catch (thrown) {
    if (place.signal.aborted || !isOutcome(thrown)) throw thrown
    const error = await place.noted(() => factsOf(ensureError(thrown), place))
    return { ok: false, error }
  }
}

/** By name: of a class of ours little else is left on the way between a node and its workers. */
const OF_THE_STEP = new Set([GuardTripped, BudgetExceeded, NondeterminismError].map(({ name }) => name))

/** Whether an error says what came of the work, and not that the step cannot go on. */
export function isOutcome(thrown: unknown): boolean {
  if (isBusTrouble(thrown) || (thrown instanceof Error && OF_THE_STEP.has(thrown.name))) return false
  const code = errorCode(thrown)
  return !code.startsWith("STEP_") && !code.startsWith("JOURNAL_")
}

function factsOf(error: Error, { redact }: WorkPlace): WorkError {
  const retryAfterMs = isMurmurError(error) ? (error as Partial<RetryableError>).retryAfterMs : undefined
  return {
    code: redact(errorCode(error)),
    message: redact(error.message),
    terminal: isTerminal(error),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}
