import type { LogRecord, RecordLog } from "../bus/record-log.js"
import { MurmurError } from "../errors.js"

/** Thrown into a handler after each new answer when a test replays always: the run is begun again. */
export class ReplayAgain extends Error {
  readonly code = "STEP_REPLAYED"
}

/** A log stream in memory, for tests of agents: one process, nothing is lost. */
export class MemoryLog implements RecordLog {
  #records: LogRecord[] = []
  #seq = 0

  async append(subject: string, payload: Uint8Array, expectedSeq: number): Promise<{ seq: number }> {
    if (((await this.last(subject))?.seq ?? 0) !== expectedSeq) {
      throw new MurmurError(`Cannot append to "${subject}": it is not at ${expectedSeq}`, { code: "FENCE_CONFLICT" })
    }
    this.#seq += 1
    this.#records.push({ subject, seq: this.#seq, data: payload, time: new Date() })
    return { seq: this.#seq }
  }

  async last(subject: string): Promise<LogRecord | undefined> {
    return this.#records.findLast((record) => record.subject === subject)
  }

  async at(seq: number): Promise<LogRecord | undefined> {
    return this.#records.find((record) => record.seq === seq)
  }

  async *read(subject: string, range: { readonly from: number; readonly to?: number }): AsyncGenerator<LogRecord> {
    const { from, to = Number.POSITIVE_INFINITY } = range
    yield* this.#records.filter((record) => record.subject === subject && record.seq >= from && record.seq <= to)
  }

  async deleteBefore(subject: string, seq: number): Promise<void> {
    this.#records = this.#records.filter((record) => record.subject !== subject || record.seq >= seq)
  }
}
