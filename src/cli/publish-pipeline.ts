import type { EventDraft } from "../bus/event.js"
import type { PublishAck } from "../bus/publisher.js"
import { ensureError } from "../errors.js"

/** One event on its way, with the line that it came from. */
export interface Numbered {
  readonly line: number
  readonly draft: EventDraft
}

/** Why a run of publishes stopped. */
export interface Failure {
  /** The event that failed; `undefined` when the input did. */
  readonly event: Numbered | undefined
  readonly error: Error
}

/** How a run of publishes ended. */
export interface PipelineEnd {
  readonly stored: number
  /** Why it stopped before the end of the input. */
  readonly failure: Failure | undefined
}

const INFLIGHT_MAX = 256

/**
 * Publishes events, pipelined, and reports each ack in the order of the input. At most 256 wait at a time, and the input is
 * read no faster than that. At the first failure nothing more is begun; what was on its way is waited for and reported,
 * so that the caller knows exactly what is stored.
 */
export async function publishAll(
  events: AsyncIterable<Numbered> | Iterable<Numbered>,
  publish: (draft: EventDraft) => Promise<PublishAck>,
  onAck: (ack: PublishAck) => Promise<void>,
): Promise<PipelineEnd> {
  const inflight: Promise<PublishAck>[] = []
  let stored = 0
  let failure: Failure | undefined
  const fail = (event: Numbered | undefined, thrown: unknown): void => {
    if (failure === undefined) failure = { event, error: ensureError(thrown) }
  }
  const settleFirst = async (): Promise<void> => {
    const ack = await inflight.shift()?.catch(() => undefined) // its failure is noted where it happens
    if (ack === undefined) return
    stored += 1
    await onAck(ack)
  }
  try {
    for await (const event of events) {
      if (failure !== undefined) break
      const ack = publish(event.draft)
      ack.catch((error) => fail(event, error))
      inflight.push(ack)
      if (inflight.length >= INFLIGHT_MAX) await settleFirst()
    }
  } catch (error) {
    fail(undefined, error) // the input itself: its message names the line
  }
  while (inflight.length > 0) await settleFirst()
  return { stored, failure }
}
