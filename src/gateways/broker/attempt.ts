import type { BrokerClock } from "./clock.js"
import type { Ending } from "./ending.js"
import { idle, timedOut } from "./refusals.js"

/** What one request to a provider is given. */
export interface AttemptLimits {
  /** Of the model, for messages. */
  readonly name: string
  readonly ending: Ending
  /** In all. */
  readonly timeoutMs: number
  /** Between two pieces of an answer. */
  readonly idleMs: number
  readonly clock: BrokerClock
}

/** What a request is sent with. */
export interface Sending {
  /** Aborted when nobody waits for the answer any longer. */
  readonly signal: AbortSignal
  /** To be called for each piece of the answer that comes. */
  readonly piece: () => void
}

/**
 * Sends one request, and waits for its answer no longer than it may take: whether or not the gateway heeds its signal.
 *
 * @throws RetryableError `LLM_TIMEOUT`, `LLM_IDLE`; why the call has ended; what `send` throws
 */
export function attempt<T>(limits: AttemptLimits, send: (sending: Sending) => Promise<T>): Promise<T> {
  const { name, ending, timeoutMs, idleMs, clock } = limits
  return new Promise<T>((resolve, reject) => {
    if (ending.reason !== undefined) return reject(ending.reason)
    const sending = new AbortController()
    let cancelIdle: (() => void) | undefined
    const end = (): void => {
      cancelTimeout()
      cancelIdle?.()
      off()
    }
    const giveUp = (reason: unknown): void => {
      end()
      reject(reason)
      sending.abort(reason)
    }
    const off = ending.on(giveUp)
    const cancelTimeout = clock.after(timeoutMs, () => giveUp(timedOut(name, timeoutMs)))
    const piece = (): void => {
      if (sending.signal.aborted) return
      cancelIdle?.()
      cancelIdle = clock.after(idleMs, () => giveUp(idle(name, idleMs)))
    }
    begun(send, { signal: sending.signal, piece }).then(
      (answer) => {
        end()
        resolve(answer)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}

/** A gateway that throws before it returns a promise must not leave timers behind. */
function begun<T>(send: (sending: Sending) => Promise<T>, sending: Sending): Promise<T> {
  try {
    return send(sending)
  } catch (error) {
    return Promise.reject(error)
  }
}
