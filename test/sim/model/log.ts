import type { LogRecord, RecordLog } from "../../../src/bus/record-log.js"
import { isMurmurError } from "../../../src/errors.js"
import type { Link } from "./link.js"
import type { SimStream } from "./stream.js"

const READ_RETRY_MS = 100

/** A modelled stream as sessions and journals use it, over one process's connection. */
export class SimLog implements RecordLog {
  constructor(
    private readonly link: Link,
    private readonly stream: SimStream,
  ) {}

  append(subject: string, payload: Uint8Array, expectedSeq: number): Promise<{ seq: number }> {
    const { name, world } = this.link.process
    return this.link.publish(() => {
      try {
        const { seq } = this.stream.append(subject, payload, { expectedSeq })
        world.note(name, () => `${seq} appended to ${subject}: ${brief(payload)}`)
        return { seq }
      } catch (error) {
        world.note(name, () => `refused by the fence: ${subject} ${brief(payload)}`)
        throw error
      }
    })
  }

  last(subject: string): Promise<LogRecord | undefined> {
    return this.link.ask(() => this.stream.last(subject))
  }

  at(seq: number): Promise<LogRecord | undefined> {
    return this.link.ask(() => this.stream.at(seq))
  }

  /** What is there when the reading begins; goes on over breaks. */
  async *read(
    subject: string,
    { from, to = Number.POSITIVE_INFINITY }: { from: number; to?: number },
  ): AsyncIterable<LogRecord> {
    yield* await insist(this.link, () => this.stream.under(subject).filter(({ seq }) => seq >= from && seq <= to))
  }

  deleteBefore(subject: string, seq: number): Promise<void> {
    return this.link.ask(() => this.stream.deleteBefore(subject, seq))
  }
}

/** Asks until there is an answer, as readings of history do. */
export async function insist<T>(link: Link, effect: () => T): Promise<T> {
  for (;;) {
    try {
      return await link.ask(effect)
    } catch (error) {
      if (!isMurmurError(error) || error.code !== "BUS_UNAVAILABLE") throw error
      await link.process.clock.delay(READ_RETRY_MS)
    }
  }
}

/** A record as a line of the trace shows it. */
function brief(payload: Uint8Array): string {
  const text = Buffer.from(payload).toString()
  return text.length <= 160 ? text : `${text.slice(0, 157)}...`
}
