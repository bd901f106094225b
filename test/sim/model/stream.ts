import { MurmurError } from "../../../src/errors.js"
import { matches } from "./subject.js"

/** A message as a modelled stream holds it. */
export interface SimRecord {
  readonly subject: string
  readonly seq: number
  readonly data: Uint8Array
  readonly time: Date
  readonly id: string | undefined
}

export interface SimStreamOptions {
  /** For how long an id is stored once only. Default: ids mean nothing here. */
  readonly dedupWindowMs?: number
  /** What the stream stores a message under. */
  readonly transform?: (subject: string) => string
}

export interface AppendOptions {
  /** Sequence of the last message on this subject; 0 for none. Default: no fence. */
  readonly expectedSeq?: number | undefined
  readonly id?: string | undefined
}

/** One stream of the modelled server: what is stored is stored for good, in one order. */
export class SimStream {
  /** The sequence of a message is its index and one; what was deleted leaves a hole. */
  readonly #slots: (SimRecord | undefined)[] = []
  readonly #bySubject = new Map<string, SimRecord[]>()
  readonly #ids = new Map<string, { seq: number; at: number }>()

  constructor(
    readonly name: string,
    private readonly now: () => number,
    private readonly options: SimStreamOptions = {},
  ) {}

  /** What it holds, in order. */
  get records(): SimRecord[] {
    return this.#slots.filter((record) => record !== undefined)
  }

  get lastSeq(): number {
    return this.#slots.length
  }

  /**
   * Stores a message. A fence is checked first, and against the last message on the subject; a known id stores nothing.
   *
   * @throws MurmurError `FENCE_CONFLICT`
   */
  append(
    published: string,
    data: Uint8Array,
    { expectedSeq, id }: AppendOptions = {},
  ): { seq: number; duplicate: boolean } {
    const subject = this.options.transform?.(published) ?? published
    const last = this.last(subject)?.seq ?? 0
    if (expectedSeq !== undefined && expectedSeq !== last) {
      throw new MurmurError(`Cannot append to "${subject}": wrong last sequence: ${last}`, { code: "FENCE_CONFLICT" })
    }
    const known = id === undefined ? undefined : this.#known(id)
    if (known !== undefined) return { seq: known, duplicate: true }
    const record: SimRecord = { subject, data, id, seq: this.#slots.length + 1, time: new Date(this.now()) }
    this.#slots.push(record)
    const same = this.#bySubject.get(subject)
    if (same === undefined) this.#bySubject.set(subject, [record])
    else same.push(record)
    if (id !== undefined && this.options.dedupWindowMs !== undefined) {
      this.#ids.set(id, { seq: record.seq, at: this.now() })
    }
    return { seq: record.seq, duplicate: false }
  }

  at(seq: number): SimRecord | undefined {
    return this.#slots[seq - 1]
  }

  last(subject: string): SimRecord | undefined {
    return this.#bySubject.get(subject)?.at(-1)
  }

  /** What is stored under a subject, or under all that fit a filter, in order. */
  under(filter: string): readonly SimRecord[] {
    if (!/[*>]/.test(filter)) return this.#bySubject.get(filter) ?? []
    return this.records.filter(({ subject }) => matches(filter, subject))
  }

  /** Deletes what a subject holds before a sequence. */
  deleteBefore(subject: string, seq: number): void {
    const kept = this.under(subject).filter((record) => record.seq >= seq)
    for (const record of this.under(subject)) if (record.seq < seq) this.#slots[record.seq - 1] = undefined
    this.#bySubject.set(subject, kept)
  }

  /** Deletes one message; without effect when it is gone. Its id is remembered all the same. */
  delete(seq: number): void {
    const record = this.at(seq)
    if (record === undefined) return
    this.#slots[seq - 1] = undefined
    this.#bySubject.set(
      record.subject,
      this.under(record.subject).filter((each) => each !== record),
    )
  }

  /** The window is not renewed by repeats. */
  #known(id: string): number | undefined {
    const known = this.#ids.get(id)
    if (known === undefined || this.now() - known.at >= (this.options.dedupWindowMs ?? 0)) return undefined
    return known.seq
  }
}
