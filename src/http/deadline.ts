import { setTimeout as delay } from "node:timers/promises"
import { HttpProblem } from "./problem.js"

/**
 * Waits for work no longer than a caller would.
 *
 * @throws HttpProblem 503 `TIMEOUT`: what happened is then unknown, not failed
 */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const late = delay(timeoutMs, undefined, { signal: done.signal }).then(() => {
    throw new HttpProblem(503, "TIMEOUT", "Not known to be stored in time; send the same id again, it is stored once", {
      headers: { "retry-after": "2" },
    })
  })
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
    late.catch(() => {})
  }
}
