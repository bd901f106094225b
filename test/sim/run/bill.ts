import { parseRecord } from "../../../src/agents/journal/records.js"
import type { SimStream } from "../model/stream.js"

/** One paid call that was made. */
interface Invoice {
  readonly step: string
  readonly call: string
}

/**
 * Counts the paid calls, and finds those that should not have been made: a call whose answer the caller had read in the
 * journal, or had written there itself. A call that was under way at a crash may be made again, and so may one by a node
 * that stood still and has not seen what another one did meanwhile.
 */
export class Bill {
  readonly violations: string[] = []
  readonly #invoices: Invoice[] = []
  /** By process and journal: up to which sequence it is known to the process. */
  readonly #known = new Map<string, number>()

  constructor(
    private readonly steps: SimStream,
    /** Whether no node can be behind the others: then no answered call at all may be made again. */
    private readonly strict: boolean,
  ) {}

  get made(): number {
    return this.#invoices.length
  }

  /** A process has read or written a journal. */
  knows(process: string, subject: string, seq: number): void {
    const name = `${process} ${subject}`
    this.#known.set(name, Math.max(seq, this.#known.get(name) ?? 0))
  }

  /** A call is made. @returns its number, which is its answer */
  charge(process: string, subject: string, call: string): number {
    const known = this.strict ? Number.POSITIVE_INFINITY : (this.#known.get(`${process} ${subject}`) ?? 0)
    const answered = this.steps.under(subject).some(({ data, seq }) => {
      if (seq > known) return false
      const record = parseRecord(data, subject)
      return record.kind === "answer" && record.call === `run ${call}`
    })
    if (answered)
      this.violations.push(`completed calls are not repeated: ${process} made "${call}" of ${subject} again`)
    this.#invoices.push({ step: subject, call })
    return this.#invoices.length - 1
  }

  /** What a number was the answer of. */
  invoice(number: number): Invoice | undefined {
    return this.#invoices[number]
  }
}
