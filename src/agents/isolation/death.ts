import { RetryableError } from "../../errors.js"

/** What is known of a worker that has ended by itself. */
export interface Death {
  readonly agent: string
  readonly memoryMbMax: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What was thrown outside of the handler's promise, if that ended it. */
  readonly crash: Error | undefined
  /** What V8 said at last, if it did. */
  readonly report: string
}

const OUT_OF_MEMORY = /out of memory|Allocation failed|invalid (size|array length|table size)/i

const FATAL = /^(FATAL ERROR|# Fatal J).*$/m

/** Why a worker ended, as the error of the step that it was in. Each of them is tried again. */
export function causeOfDeath({ agent, memoryMbMax, code, signal, crash, report }: Death): RetryableError {
  if (OUT_OF_MEMORY.test(report)) {
    return new RetryableError(
      `A step of "${agent}" took more memory than its worker may have: ${memoryMbMax} MiB (memoryMbMax)`,
      { code: "STEP_MEMORY", details: { said: FATAL.exec(report)?.[0] } },
    )
  }
  if (crash !== undefined) {
    return new RetryableError(
      `A step of "${agent}" ended its worker: ${crash.message} (thrown where nobody waits for it)`,
      {
        code: "STEP_CRASHED",
        cause: crash,
      },
    )
  }
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const hint = signal === "SIGKILL" ? ". The system kills a process so when memory runs out" : ""
  return new RetryableError(`The worker of "${agent}" ended ${how}${hint}`, {
    code: "STEP_EXITED",
    details: { exitCode: code, signal },
  })
}
