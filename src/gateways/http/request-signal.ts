/** The signal of one request, which its reader can break off as well. */
export interface RequestSignal {
  readonly signal: AbortSignal
  /** The answer has come whole: lets go of the caller's signal. */
  done(): void
  /** Breaks the request off, if it is not done, and lets go of the caller's signal. To be called in any case. */
  end(): void
}

/**
 * Follows the caller's signal for one request. SDKs leave a listener on each signal that they are given: on the caller's,
 * which may live as long as a node, they would add up.
 *
 * @throws the signal's reason, when it is aborted already
 */
export function requestSignal(caller: AbortSignal): RequestSignal {
  caller.throwIfAborted()
  const controller = new AbortController()
  const follow = (): void => controller.abort(caller.reason)
  caller.addEventListener("abort", follow, { once: true })
  let done = false
  return {
    signal: controller.signal,
    done() {
      done = true
      caller.removeEventListener("abort", follow)
    },
    end() {
      caller.removeEventListener("abort", follow)
      if (!done) controller.abort()
    },
  }
}
