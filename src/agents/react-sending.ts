import type { SealedEvent } from "../bus/encode.js"
import type { MurmurEvent } from "../bus/event.js"
import type { Receipt } from "../bus/receipt.js"
import { ensureError } from "../errors.js"
import { burialPorts, bury } from "./burial.js"
import { letterEvent } from "./dead-letters.js"
import { originalOf } from "./original-event.js"
import type { TenureParts } from "./react-tenure.js"
import { isTerminal } from "./retry.js"

/**
 * Publishes what pipelines emit for an event at once, without a window. They are sent in order by one connection; the
 * event's ack waits for them, the next event need not.
 */
export class ReactSending {
  readonly #underWay = new Map<number, Promise<void>>()

  constructor(
    private readonly parts: TenureParts,
    private readonly ended: AbortSignal,
    private readonly onFault: (error: unknown) => void,
  ) {}

  /** Whether outputs of the event with this sequence are on their way. */
  has(seq: number): boolean {
    return this.#underWay.has(seq)
  }

  /** Resolves when nothing is on its way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }

  /** Publishes the outputs of an event, then acks it. */
  send(outputs: readonly SealedEvent[], event: MurmurEvent, receipt: Receipt): void {
    const sent = this.#sendOrBury(outputs, event)
      .then((done) => {
        if (done) receipt.ack()
      })
      .catch((error) => this.onFault(error))
      .finally(() => this.#underWay.delete(event.seq))
    this.#underWay.set(event.seq, sent)
  }

  /** Publishes what came out on a pipeline's own time: it belongs to no event that could be kept back for it. */
  sendLater(output: SealedEvent): void {
    const { outputs, stats, log } = this.parts
    outputs.publish([output]).catch((error) => {
      stats.failures += 1
      log.error({ error, type: output.type, key: output.key }, "cannot publish what a pipeline emitted later")
    })
  }

  /** @returns whether the event is done: its outputs are stored, or the server will never take them and a letter says so */
  async #sendOrBury(outputs: readonly SealedEvent[], event: MurmurEvent): Promise<boolean> {
    try {
      await this.parts.outputs.publish(outputs)
      return true
    } catch (thrown) {
      const error = ensureError(thrown)
      if (!isTerminal(error)) throw error
      this.parts.stats.failures += 1
      const original = letterEvent(await originalOf(event, this.parts.ports))
      const letter = { agent: this.parts.agent.name, event: original, key: event.key, attempts: [] }
      const traceparent = event.trace?.traceparent
      return bury({ ...letter, reason: "terminal", error, traceparent }, burialPorts(this.parts), this.ended)
    }
  }
}
