import { type JournalRecord, parseRecord } from "../../../src/agents/journal/records.js"
import type { SimStream } from "../model/stream.js"

/** One paid call that was made. */
interface Invoice {
  readonly step: string
  readonly call: string
}

/** How much can be asked of the nodes of a run. */
export interface BillOptions {
  /** Whether no node can be behind the others: then no answered call at all may be made again. */
  readonly strict: boolean
  /** Whether nobody opens a journal twice in one process: then it is never in the same call twice. */
  readonly calm: boolean
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
  /** Calls that a process is in. */
  readonly #underWay = new Set<string>()

  constructor(
    private readonly steps: SimStream,
    private readonly options: BillOptions,
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
    const known = this.options.strict ? Number.POSITIVE_INFINITY : (this.#known.get(`${process} ${subject}`) ?? 0)
    const answered = this.steps.under(subject).some(({ data, seq }) => {
      return seq <= known && calledIn(parseRecord(data, subject)) === call
    })
    if (answered)
      this.violations.push(`completed calls are not repeated: ${process} made "${call}" of ${subject} again`)
    this.#invoices.push({ step: subject, call })
    return this.#invoices.length - 1
  }

  /** A call of a model or of a tool begins: whoever wants its answer as well waits for its end. */
  begin(process: string, subject: string, call: string): { readonly number: number; end(): void } {
    const name = `${process} ${subject} ${call}`
    if (this.options.calm && this.#underWay.has(name))
      this.violations.push(`a call that is under way is not made again: ${process} made "${call}" of ${subject} again`)
    this.#underWay.add(name)
    return { number: this.charge(process, subject, call), end: () => this.#underWay.delete(name) }
  }

  /** What a number was the answer of. */
  invoice(number: number): Invoice | undefined {
    return this.#invoices[number]
  }
}

/** Which paid call a record answers. */
export function calledIn(record: JournalRecord): string | undefined {
  if (record.kind !== "answer") return undefined
  const { call, answer } = record
  if (call === "llm") return JSON.parse((answer as { message: { content: string } }).message.content).call
  if (call.startsWith("tool ")) return (answer as { call: string }).call
  return call.replace(/^run /, "")
}
