import type { LogRecord, RecordLog } from "../../../src/bus/record-log.js"
import type { Process } from "../world/process.js"
import type { Bill } from "./bill.js"

/** A log that notes what its process has come to know. */
export class WatchedLog implements RecordLog {
  constructor(
    private readonly log: RecordLog,
    private readonly process: Process,
    private readonly bill: Bill,
  ) {}

  async append(subject: string, payload: Uint8Array, expectedSeq: number): Promise<{ seq: number }> {
    const appended = await this.log.append(subject, payload, expectedSeq)
    this.bill.knows(this.process.name, subject, appended.seq)
    return appended
  }

  last(subject: string): Promise<LogRecord | undefined> {
    return this.log.last(subject)
  }

  at(seq: number): Promise<LogRecord | undefined> {
    return this.log.at(seq)
  }

  async *read(subject: string, range: { readonly from: number; readonly to?: number }): AsyncIterable<LogRecord> {
    for await (const record of this.log.read(subject, range)) {
      this.bill.knows(this.process.name, subject, record.seq)
      yield record
    }
  }

  deleteBefore(subject: string, seq: number): Promise<void> {
    return this.log.deleteBefore(subject, seq)
  }
}
