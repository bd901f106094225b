import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { MurmurError } from "../errors.js"
import type { StepJournal } from "./journal/journal.js"
import type { StateEntry } from "./sessions/record.js"
import { evolve, type Session, type StateDefinition } from "./sessions/session.js"

/** Where an attempt finds the journal of its step. */
export type OpenJournal = (eventId: string) => Promise<StepJournal>

/**
 * What one attempt has done so far, besides emitting: state entries, journaled calls. Nothing of it is in effect before
 * the step's commit.
 */
export class Effects {
  readonly entries: StateEntry[] = []
  #state: unknown
  #journal: Promise<StepJournal> | undefined
  #calls = 0
  #draws = 0

  constructor(
    private readonly agent: string,
    private readonly event: MurmurEvent,
    private readonly openJournal: OpenJournal,
    private readonly definition: StateDefinition | undefined,
    private readonly session: Session | undefined,
  ) {
    this.#state = session?.state
  }

  get state(): unknown {
    return this.#state
  }

  record(name: string, data: unknown): void {
    if (this.definition === undefined || this.session === undefined) {
      throw new MurmurError(`Cannot record "${name}": agent "${this.agent}" has no "state"`, { code: "STATE_NONE" })
    }
    // as it will be read back, so that this step and a later fold see the same
    const entry: StateEntry = { name, data: plain(data, `the data of entry "${name}"`) }
    this.#state = evolve(this.definition, this.#state, entry, `agent "${this.agent}"`)
    this.entries.push(entry)
  }

  async run<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    const position = this.#calls++
    this.#journal ??= this.openJournal(this.event.id)
    const journal = await this.#journal
    return journal.call(position, `run ${name}`, null, async () => plain(await work(), `the answer of "${name}"`) as T)
  }

  /** The same sequence of numbers on each attempt of this step. */
  random(): number {
    const id = derivedId(this.agent, this.event.key ?? "", this.event.id, `random ${this.#draws++}`)
    return Buffer.from(id, "base64url").readUIntBE(0, 6) / 2 ** 48
  }
}

/** A value as JSON gives it back. @throws MurmurError `NOT_JSON` */
function plain(value: unknown, what: string): unknown {
  if (value === undefined) return null
  try {
    return JSON.parse(JSON.stringify(value))
  } catch (cause) {
    throw new MurmurError(`Cannot keep ${what}: it is not JSON`, { code: "NOT_JSON", cause })
  }
}
