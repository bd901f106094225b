import { setTimeout as delay } from "node:timers/promises"
import { MurmurError, TerminalError } from "../../errors.js"
import type { BranchContext } from "../branch-context.js"
import type { StepContext } from "../context.js"
import type { WorkError } from "../work-outcome.js"

/** How something is tried again. */
export interface RetryWorkOptions {
  /** How often it is tried in all. Default 3. */
  readonly attempts?: number
  /** Wait before the second attempt, in milliseconds; each further wait is `factor` times as long. Default 1_000. */
  readonly delayMs?: number
  /** Default 4. */
  readonly factor?: number
  /** The longest wait, in milliseconds. Default 600_000. */
  readonly delayMsMax?: number
  /** Whether trying again may help. Default: unless the error is terminal. */
  readonly when?: (error: WorkError) => boolean
}

/** A longer wait puts the step aside. */
const ASIDE_FROM_MS = 5_000
const OPTIONS = ["attempts", "delayMs", "factor", "delayMsMax", "when"]

/**
 * Tries something until it succeeds, a few times. That an attempt failed is written down: it is not made again when the
 * step runs again. Long waits put the step aside, as `ctx.sleep` does.
 *
 * @param name what it is
 * @param work makes its calls by the context that it is given. What a failed attempt has emitted and recorded counts not
 * @throws MurmurError `WORKFLOW_OPTION`; TerminalError with the code of the last error: the step has tried enough
 * @example
 * const page = await retry(ctx, "read the page", (ctx) => ctx.tools.fetch({ url }), { attempts: 4, delayMs: 60_000 })
 */
export async function retry<T>(
  ctx: StepContext,
  name: string,
  work: (ctx: BranchContext, attempt: number) => Promise<T> | T,
  options: RetryWorkOptions = {},
): Promise<T> {
  const { attempts, delayMs, factor, delayMsMax, when } = checkRetry(name, options)
  for (let attempt = 1; ; attempt++) {
    const result = await ctx.outcome(`${name}, attempt ${attempt}`, (branch) => work(branch, attempt))
    if (result.ok) return result.value
    const { error } = result
    if (attempt >= attempts || !when(error)) throw given(name, error, attempt)
    const nominalMs = delayMs * factor ** (attempt - 1)
    await wait(ctx, name, Math.min(delayMsMax, Math.max(nominalMs, error.retryAfterMs ?? 0)))
  }
}

async function wait(ctx: StepContext, name: string, ms: number): Promise<void> {
  if (ms >= ASIDE_FROM_MS) return ctx.sleep(ms)
  if (ms <= 0) return
  const { signal } = ctx
  await ctx.run(`wait before ${name}`, () => delay(ms, null, { signal }))
}

function given(name: string, { code, message }: WorkError, attempts: number): TerminalError {
  const times = attempts === 1 ? "once" : `${attempts} times`
  return new TerminalError(`Tried ${times}: ${name}: ${message}`, { code, details: { attempts } })
}

function checkRetry(name: string, options: RetryWorkOptions): Required<RetryWorkOptions> {
  const fail = (why: string): never => {
    throw new MurmurError(`Cannot retry ${JSON.stringify(name)}: ${why}`, { code: "WORKFLOW_OPTION" })
  }
  const unknown = Object.keys(options).find((option) => !OPTIONS.includes(option))
  if (unknown !== undefined) fail(`unknown option "${unknown}" (known: ${OPTIONS.join(", ")})`)
  const { attempts = 3, delayMs = 1_000, factor = 4, delayMsMax = 600_000, when = isNotTerminal } = options
  if (!Number.isSafeInteger(attempts) || attempts < 1) fail(`attempts must be an integer >= 1, is ${String(attempts)}`)
  for (const [option, value] of Object.entries({ delayMs, factor, delayMsMax })) {
    if (!(Number.isFinite(value) && value >= 0)) fail(`${option} must be a number >= 0, is ${String(value)}`)
  }
  if (typeof when !== "function") fail(`when must be a function, is ${typeof when}`)
  return { attempts, delayMs, factor, delayMsMax, when }
}

function isNotTerminal({ terminal }: WorkError): boolean {
  return !terminal
}
