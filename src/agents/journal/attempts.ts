import type { JournalRecord } from "./records.js"

/** One call of an attempt, and whether it was answered. */
export interface PastCall {
  readonly call: string
  readonly answered: boolean
}

/** How the attempt before this one went: what it did, and how it ended. */
export interface PreviousAttempt {
  /** Which one it was, from 1. */
  readonly attempt: number
  /** `died`: its process ended, or stood still for so long that another node took over. */
  readonly ended: "failed" | "died" | "stopped"
  /** When it ended, or, when it died, the last that is known of it; RFC 3339. */
  readonly at: string
  readonly error?: { readonly code: string; readonly message: string }
  /** Its journaled calls, in order. One without an answer was under way. */
  readonly calls: readonly PastCall[]
}

/** An attempt that is in the journal. */
interface Past {
  readonly attempt: number
  at: string
  calls: Map<number, { call: string; answered: boolean }>
  end?: Extract<JournalRecord, { kind: "ended" }>
}

/**
 * What a journal tells of a step's attempts: so they are counted across processes, and each knows how the one before
 * it ended. Giving up and suspending begin a new count.
 */
export class Attempts {
  #past: Past[] = []

  /** How many failed or died. One that was stopped is nobody's failure. */
  get spent(): number {
    return this.#past.filter((past) => past.end?.outcome !== "stopped").length
  }

  /** How many died. */
  get deaths(): number {
    return this.#past.filter(({ end }) => end === undefined).length
  }

  /** Those that failed or died, oldest first. */
  get all(): readonly PreviousAttempt[] {
    return this.#past.map(previous).filter(({ ended }) => ended !== "stopped")
  }

  get last(): PreviousAttempt | undefined {
    const past = this.#past.at(-1)
    return past && previous(past)
  }

  /** Whether one of them is under way, as far as the journal tells. */
  get open(): boolean {
    const past = this.#past.at(-1)
    return past !== undefined && past.end === undefined
  }

  /** Takes the next record of the journal. */
  apply(record: JournalRecord): void {
    switch (record.kind) {
      case "attempt":
        this.#open(record.attempt, record.at)
        return
      case "begun":
      case "answer":
      case "undone": {
        const { kind, attempt, position, call, at } = record
        if (attempt === 0) return // what was waited for has come: between attempts
        const { calls } = this.#open(attempt, at)
        if (kind === "undone") calls.delete(position)
        else calls.set(position, { call, answered: kind === "answer" })
        return
      }
      case "waiting":
        this.#past = []
        return
      case "came":
        return // between attempts
      case "ended":
        this.#end(record)
    }
  }

  /** The newest attempt, if it is the one of that number; else a new one. */
  #open(attempt: number, at: string): Past {
    const last = this.#past.at(-1)
    // a call may outlive its attempt, and be answered when that has failed
    const isLast = last?.attempt === attempt && (last.end === undefined || last.end.outcome === "failed")
    if (isLast) {
      last.at = at
      return last
    }
    const past: Past = { attempt, at, calls: new Map() }
    this.#past.push(past)
    return past
  }

  #end(record: Extract<JournalRecord, { kind: "ended" }>): void {
    if (record.outcome !== "failed" && record.outcome !== "stopped") {
      this.#past = []
      return
    }
    this.#open(record.attempt, record.at).end = record
  }
}

function previous({ attempt, at, calls, end }: Past): PreviousAttempt {
  return {
    attempt,
    ended: end === undefined ? "died" : end.outcome === "stopped" ? "stopped" : "failed",
    at,
    ...(end?.error && { error: end.error }),
    calls: [...calls.values()],
  }
}
