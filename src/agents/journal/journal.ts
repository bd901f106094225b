import type { RecordLog } from "../../bus/record-log.js"
import { isMurmurError, RetryableError, TerminalError } from "../../errors.js"
import { type Clock, timeText } from "../clock.js"
import { crashPoint } from "../crash-points.js"
import type { Arrived } from "../delegation/decide.js"
import { redactAll } from "../llm/redact-all.js"
import { Attempts, type PastCall } from "./attempts.js"
import { callHash, checkSame } from "./call-hash.js"
import {
  type AnswerRecord,
  type BegunRecord,
  type EndedRecord,
  encodeRecord,
  type JournalRecord,
  parseRecord,
  type Wait,
  type WaitingRecord,
} from "./records.js"

/** A call that is over sooner leaves no note that it began: only what takes its time may be interrupted. */
const NOTE_AFTER_MS = 50

/** A wait carries the answers before it, up to this; more of them are written once more, each on its own. */
const CARRIED_CHARS_MAX = 256 * 1024

/** One call of a step. */
export interface Call {
  readonly position: number
  /** What is called: `run charge`. */
  readonly call: string
  readonly input: unknown
}

/** What a suspended step leaves behind so that it can go on. */
export interface Suspension {
  readonly wait: Wait
  readonly event: unknown
  readonly storedAt: string
}

/** How a wait stands. */
export type Waited =
  | { readonly kind: "answered"; readonly answer: unknown }
  /** `arranged`: somebody else sees to it that it ends. */
  | { readonly kind: "waiting"; readonly record: WaitingRecord; readonly arranged: boolean }

/** What journals of an agent need. */
export interface JournalPorts {
  readonly log: RecordLog
  readonly clock: Clock
  /** Takes secrets out of answers, before they are recorded and given to whoever asked. */
  readonly redact?: (text: string) => string
  /** Called after each new answer is in the journal; a throw breaks the run off. For tests that replay always. */
  readonly onAnswer?: (call: string) => void
}

/**
 * What one step has asked and been answered so far. A step that runs again is given the recorded answers up to where it
 * had come: what was done once is not done again, and money is not spent twice.
 *
 * One writer by fence: of two nodes that run the same step, one is refused (`STEP_TAKEN_OVER`) and gives way.
 */
export class Journal {
  readonly attempts = new Attempts()
  /** Which attempt writes. */
  attempt = 1
  readonly #answers = new Map<number, AnswerRecord>()
  /** Calls that began, and whose answer is not known. */
  readonly #begun = new Map<number, BegunRecord>()
  /** Whose answers are kept as long as the step waits: those that a wait carries, and those written since. */
  readonly #kept = new Set<number>()
  readonly #times = new Map<number, number>()
  /** Calls that this process is in. */
  readonly #running = new Map<number, Promise<unknown>>()
  readonly #waits = new Map<number, WaitingRecord>()
  /** Results of tasks, by the position that waits for more of them. */
  readonly #came = new Map<number, Arrived[]>()
  /** Positions in the order in which they were first heard of; those of branches are no order. */
  readonly #seen = new Set<number>()
  /** Sequences of what was waited for, and of what came. */
  readonly #waitSeqs = new Map<number, number>()
  readonly #cameSeqs = new Map<number, number>()
  #arrangedThrough = 0
  #records = 0
  #seq = 0
  #fate: "open" | "given-up" | "done" = "open"
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly ports: JournalPorts,
    readonly subject: string,
    readonly agent: string,
  ) {}

  /** Reads the journal at a subject. @throws MurmurError `JOURNAL_RECORD` */
  static async open(ports: JournalPorts, subject: string, agent: string): Promise<Journal> {
    const journal = new Journal(ports, subject, agent)
    const last = await ports.log.last(subject)
    if (last === undefined) return journal
    for await (const { data, seq } of ports.log.read(subject, { from: 1, to: last.seq })) {
      journal.#apply(parseRecord(data, subject), seq)
    }
    return journal
  }

  /** How many records it holds: it grows while its step makes progress. */
  get size(): number {
    return this.#records
  }

  /** Whether its step has waited, and is done: it is not begun again. */
  get done(): boolean {
    return this.#fate === "done"
  }

  /** Whether its event is in the dead letters, and was not taken out to be tried again. */
  get givenUp(): boolean {
    return this.#fate === "given-up"
  }

  /** The newest record of the step's suspension, if it was ever suspended and is not done. */
  get suspended(): WaitingRecord | undefined {
    return [...this.#waits.values()].at(-1)
  }

  /** Whether the step stands, or stood, before a wait at a position. */
  waitsAt(position: number): boolean {
    return this.#waits.has(position)
  }

  /** What is waited for at a position, while it has not come. */
  waitAt(position: number): WaitingRecord | undefined {
    return this.#answers.has(position) ? undefined : this.#waits.get(position)
  }

  /** The step's calls, in order, and whether each was answered. Questions about calls are none of them. */
  get calls(): PastCall[] {
    const calls = new Map<number, PastCall>()
    for (const { position, call } of [...this.#begun.values(), ...this.#waits.values()]) {
      calls.set(position, { call, answered: false })
    }
    for (const { position, call } of this.#answers.values()) calls.set(position, { call, answered: true })
    return [...this.#seen].filter((position) => position >= 0).flatMap((position) => calls.get(position) ?? [])
  }

  /** What was answered at a position. */
  answerAt(position: number): unknown {
    return this.#answers.get(position)?.answer
  }

  /** Sequence of the inbox event that brought what was waited for at a position. */
  broughtBy(position: number): number | undefined {
    return this.#answers.get(position)?.by
  }

  /**
   * The step goes on because of what came at a position. What it had waited for before that is arranged by those who
   * brought it there: they are not acked before.
   */
  goOn(position: number): void {
    this.#arrangedThrough = this.#cameSeqs.get(position) ?? 0
  }

  /** The question that was asked at a position, if one was. */
  questionAt(position: number): Extract<Wait, { kind: "ask" }> | undefined {
    const wait = this.#waits.get(position)?.wait
    return wait?.kind === "ask" ? wait : undefined
  }

  /** How often a call began whose outcome is not known; 0 when it never did, or its outcome is known. */
  unknownTimes({ position, call, input }: Call): number {
    const begun = this.#begun.get(position)
    if (begun === undefined) return 0
    checkSame(begun, { call, hash: callHash(call, input) }, this.agent)
    return this.#times.get(position) ?? 0
  }

  /** When a call last began whose outcome is not known. */
  begunAt(position: number): string | undefined {
    return this.#begun.get(position)?.at
  }

  /** Fulfilled when this process is not in the call at a position: an attempt before this one may still be. */
  async settled(position: number): Promise<void> {
    await this.#running.get(position)?.catch(() => {})
  }

  /** Fulfilled when this process is in none of the step's calls. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values())
  }

  /**
   * Does something once: returns the recorded answer, or does it and records the answer.
   *
   * @param note when it is noted that the call begins: `first`, before it does; or beside it, unless it is over at once
   * @throws NondeterminismError when the recorded call at this position is another one
   * @throws RetryableError `STEP_TAKEN_OVER` when another node runs this step
   */
  async call<T>(asked: Call, work: () => Promise<T> | T, note: "first" | "beside" = "beside"): Promise<T> {
    const { position, call } = asked
    const recorded = this.#answers.get(position)
    if (recorded !== undefined) return this.#replay(recorded, call, callHash(call, asked.input)) as T
    const running = this.#make(asked, work, note)
    this.#running.set(position, running)
    try {
      await running
    } finally {
      if (this.#running.get(position) === running) this.#running.delete(position)
    }
    // not while others run beside it: they would be made twice, and some may not be
    if (this.#running.size === 0) this.ports.onAnswer?.(call)
    return copyOf(this.#answers.get(position)?.answer) as T
  }

  /** What a call was answered with; `undefined` when it was not. @throws as {@link call} */
  recorded({ position, call, input }: Call): unknown {
    const recorded = this.#answers.get(position)
    return recorded && this.#replay(recorded, call, callHash(call, input))
  }

  async #make<T>({ position, call, input }: Call, work: () => Promise<T> | T, note: "first" | "beside"): Promise<void> {
    const hash = callHash(call, input)
    const waiting = this.#waits.get(position)
    if (waiting !== undefined) checkSame(waiting, { call, hash }, this.agent)
    const facts = (): Omit<BegunRecord, "kind"> => ({ position, call, hash, attempt: this.attempt, at: this.#now() })
    const begin = (): Promise<void> => this.#write({ kind: "begun", ...facts() })
    let over = (): void => {}
    if (note === "first") await begin()
    else over = this.ports.clock.after(NOTE_AFTER_MS, () => void begin().catch(() => {}))
    let answer: T
    try {
      const working = work()
      crashPoint("P2")
      answer = await working
    } finally {
      over()
    }
    crashPoint("P3")
    const { redact } = this.ports
    const kept = answer === undefined ? null : redact === undefined ? answer : redactAll(answer, redact)
    await this.#write({ kind: "answer", ...facts(), answer: kept })
    crashPoint("P4")
  }

  /** Answers a call with an error, for good: it is thrown each time that the step runs. */
  async refuse({ position, call, input }: Call, error: TerminalError): Promise<never> {
    const { redact = (text) => text } = this.ports
    const { code } = error
    const message = redact(error.message)
    const facts = { position, call, hash: callHash(call, input), attempt: this.attempt, at: this.#now() }
    await this.#write({ kind: "answer", ...facts, answer: null, error: { code, message } })
    throw message === error.message ? error : new TerminalError(message, { code }) // as on the next run
  }

  /** Notes that a call that had begun had no effect. */
  async undo({ position, call, input }: Call): Promise<void> {
    const facts = { position, call, hash: callHash(call, input), attempt: this.attempt, at: this.#now() }
    await this.#write({ kind: "undone", ...facts })
  }

  /**
   * What a wait was answered with, or that it goes on. A new wait is noted.
   *
   * @throws NondeterminismError, and RetryableError `STEP_TAKEN_OVER`
   */
  async wait({ position, call, input }: Call, suspend: () => Promise<Suspension>): Promise<Waited> {
    const hash = callHash(call, input)
    const recorded = this.#answers.get(position)
    if (recorded !== undefined) return { kind: "answered", answer: this.#replay(recorded, call, hash) }
    const before = this.#waits.get(position)
    if (before !== undefined) {
      checkSame(before, { call, hash }, this.agent)
      const arranged = (this.#waitSeqs.get(position) ?? 0) < this.#arrangedThrough
      return { kind: "waiting", record: before, arranged }
    }
    const suspension = await suspend()
    const facts = { position, call, hash, attempt: this.attempt, at: this.#now() }
    await this.#inTurn(async () => {
      // what is answered beside it until it is written counts too
      const answers = [...this.#answers.values()].filter((answer) => !this.#kept.has(answer.position))
      const fits = JSON.stringify(answers).length <= CARRIED_CHARS_MAX
      if (!fits) for (const answer of answers) await this.#append(answer, true)
      await this.#append({ kind: "waiting", ...facts, ...suspension, answers: fits ? answers : [] })
    })
    const record = this.#waits.get(position)
    if (record === undefined) throw takenOver(this.agent, undefined) // cannot be: it was written
    return { kind: "waiting", record, arranged: false }
  }

  /** What was waited for has come, by an inbox event. Without effect when it had come before. */
  async resolve(position: number, answer: unknown, by: number): Promise<void> {
    const waiting = this.waitAt(position)
    if (waiting === undefined) return
    const { call, hash } = waiting
    await this.#write({ kind: "answer", position, call, hash, attempt: 0, at: this.#now(), answer, by })
  }

  /** The results of tasks that have come at a position, in their order, while more are waited for. */
  cameAt(position: number): readonly Arrived[] {
    return this.#came.get(position) ?? []
  }

  /** One of several results has come, and is not enough. Without effect when it had come before. */
  async come(position: number, { task, result, traceparent }: Arrived): Promise<void> {
    const waiting = this.waitAt(position)
    if (waiting === undefined || this.cameAt(position).some((arrived) => arrived.task === task)) return
    const { call, hash } = waiting
    await this.#write({ kind: "came", position, call, hash, attempt: 0, at: this.#now(), task, result, traceparent })
  }

  /** Notes that an attempt begins: after a death it has to be known what was under way. */
  async begin(attempt: number, node: string): Promise<void> {
    this.attempt = attempt
    await this.#write({ kind: "attempt", attempt, node, at: this.#now() })
  }

  /** Notes how an attempt ended. */
  async end(ended: Omit<EndedRecord, "kind" | "at">): Promise<void> {
    await this.#write({ kind: "ended", ...ended, at: this.#now() })
  }

  /** The step is done: what it waited for is waited for no more. */
  async close(): Promise<void> {
    if (this.#waits.size === 0) return
    await this.end({ attempt: this.attempt, outcome: "done" })
    await this.ports.log.deleteBefore(this.subject, this.#seq) // a wait is kept for ever: nobody else deletes it
  }

  #replay(recorded: AnswerRecord, call: string, hash: string): unknown {
    checkSame(recorded, { call, hash }, this.agent)
    if (recorded.error === undefined) return copyOf(recorded.answer)
    const { code, message } = recorded.error
    throw new TerminalError(message, { code })
  }

  #now(): string {
    return timeText(this.ports.clock.now())
  }

  #write(record: JournalRecord): Promise<void> {
    return this.#inTurn(async () => {
      // an attempt that outlived its time may have been first: its answer stands
      if (record.kind === "answer" && this.#answers.has(record.position)) return
      await this.#append(record)
    })
  }

  /** Calls that run side by side are recorded one after the other: each append is fenced by the one before. */
  #inTurn(write: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(write)
    this.#writing = written.catch(() => {})
    return written
  }

  async #append(record: JournalRecord, forEver = this.#outlives(record)): Promise<void> {
    const { log } = this.ports
    const payload = encodeRecord(record)
    try {
      const { seq } = await log.append(this.subject, payload, this.#seq, { forEver })
      if (forEver && record.kind === "answer") this.#kept.add(record.position)
      this.#apply(record, seq)
    } catch (error) {
      if (!isMurmurError(error) || error.code !== "FENCE_CONFLICT") throw error
      const last = await log.last(this.subject)
      if (last === undefined || !Buffer.from(last.data).equals(payload)) throw takenOver(this.agent, error)
      this.#apply(record, last.seq) // our own record: its ack was lost
    }
  }

  /** A wait may be longer than journals are kept; what is written beside it or after it is needed for as long. */
  #outlives({ kind }: JournalRecord): boolean {
    return kind === "waiting" || (kind !== "ended" && this.#waits.size > 0)
  }

  #apply(record: JournalRecord, seq: number): void {
    this.#seq = seq
    this.#records += 1
    this.attempts.apply(record)
    if ("position" in record) this.#seen.add(record.position)
    switch (record.kind) {
      case "begun":
        this.#begun.set(record.position, record)
        this.#times.set(record.position, (this.#times.get(record.position) ?? 0) + 1)
        return
      case "undone":
        this.#begun.delete(record.position)
        return
      case "answer":
        this.#begun.delete(record.position)
        this.#came.delete(record.position)
        this.#answers.set(record.position, record)
        if (this.#waits.size > 0) this.#kept.add(record.position)
        if (record.by !== undefined) this.#cameSeqs.set(record.position, seq)
        return
      case "came":
        this.#came.set(record.position, [...this.cameAt(record.position), record])
        return
      case "waiting":
        for (const answer of record.answers) {
          this.#answers.set(answer.position, answer)
          this.#kept.add(answer.position)
          this.#seen.add(answer.position)
        }
        this.#seen.delete(record.position)
        this.#seen.add(record.position)
        this.#waits.set(record.position, record)
        this.#waitSeqs.set(record.position, seq)
        return
      case "ended":
        if (record.outcome === "done") this.#waits.clear()
        if (record.outcome === "done" || record.outcome === "given-up") this.#fate = record.outcome
        return
      case "attempt":
        if (this.#fate === "given-up") this.#fate = "open"
    }
  }
}

/** An answer as JSON gives it back: what its receiver makes of it, no other attempt is to see, and no other record. */
function copyOf(answer: unknown): unknown {
  return typeof answer === "object" && answer !== null ? JSON.parse(JSON.stringify(answer)) : answer
}

function takenOver(agent: string, cause: unknown): RetryableError {
  return new RetryableError(`Another node runs this step of "${agent}"`, {
    code: "STEP_TAKEN_OVER",
    cause,
    retryAfterMs: 250,
  })
}
