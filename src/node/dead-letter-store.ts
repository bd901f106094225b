import { DeadLetter } from "../agents/dead-letters.js"
import { inboxType } from "../agents/host.js"
import type { Bus } from "../bus/bus.js"
import type { BusCore } from "../bus/bus-core.js"
import { readPath } from "../bus/causal-path.js"
import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { PublishAck } from "../bus/publisher.js"
import { type ReadOptions, readHistory } from "../bus/reader.js"
import { streamInfo } from "../bus/streams.js"
import { checkName } from "../bus/subjects.js"
import { MurmurError } from "../errors.js"
import { CatalogueRecord, openBuckets, readAll } from "./buckets.js"
import { openInbox } from "./inbox.js"

/** A dead letter and where it lies in the DEAD stream. */
export interface StoredLetter {
  readonly seq: number
  readonly letter: DeadLetter
}

/** Which letters. Without anything: all. */
export interface LetterFilter {
  /** These, by the letter's id. */
  readonly ids?: readonly string[]
  readonly agent?: string | undefined
  /** Of events of this type. */
  readonly type?: string | undefined
}

/** How many characters of an id name a letter, as a person types it. */
const PREFIX_MIN = 6

/** The dead letters of a mesh: reading and dropping. */
export class DeadLetters {
  constructor(
    private readonly bus: BusCore,
    /** Told about a record that cannot be read: another version's, or not ours. */
    private readonly onUnreadable: (seq: number) => void = () => {},
  ) {}

  /**
   * The letters that are stored now, oldest first. What is added while reading does not come, so retrying all of them
   * ends even when each fails again.
   */
  async *list(filter: LetterFilter = {}, signal?: AbortSignal): AsyncGenerator<StoredLetter> {
    const { agent, type, ids } = filter
    for await (const { seq, data } of this.#read(agent, signal)) {
      const letter = parse(data)
      if (letter === undefined) {
        this.onUnreadable(seq)
        continue
      }
      if (type !== undefined && letter.event.type !== type) continue
      if (ids !== undefined && !ids.some((id) => names(id, letter))) continue
      yield { seq, letter }
    }
  }

  /**
   * The letter of an id, or of the first characters of one (at least six); the newest when its event was given up again.
   *
   * @throws MurmurError `DEAD_UNKNOWN`, `DEAD_AMBIGUOUS`
   */
  async get(id: string, signal?: AbortSignal): Promise<StoredLetter> {
    const found = new Map<string, StoredLetter>()
    for await (const stored of this.list({ ids: [id] }, signal)) found.set(stored.letter.id, stored)
    const exact = found.get(id)
    const [first, second] = exact === undefined ? [...found.values()] : [exact]
    if (first === undefined) throw unknownLetter(id)
    if (second === undefined) return first
    throw new MurmurError(`Several dead letters begin with "${id}": ${[...found.keys()].slice(0, 5).join(", ")}`, {
      code: "DEAD_AMBIGUOUS",
      details: { id },
    })
  }

  /** Deletes one letter; fine when it is gone already. */
  async drop({ seq }: StoredLetter): Promise<void> {
    const { manager } = this.bus.link
    try {
      await manager.streams.deleteMessage(this.bus.names.dead, seq, false)
    } catch (error) {
      const there = await manager.streams.getMessage(this.bus.names.dead, { seq }).catch(() => null)
      if (there !== null) throw error
    }
  }

  async *#read(agent: string | undefined, signal: AbortSignal | undefined): ReturnType<typeof readHistory> {
    const { link, names } = this.bus
    const info = await streamInfo(link.manager, names.dead)
    if (info === undefined || info.state.messages === 0) return
    const token = agent === undefined ? "*" : checkName(agent, "agent")
    const options: ReadOptions = {
      stream: names.dead,
      filter: `${names.mesh}.dead.${token}.>`,
      from: { seq: 1 },
      signal,
    }
    yield* readHistory(link, { ...options, toSeq: info.state.last_seq })
  }
}

/** Sends dead letters back to their agents, through the agents' inboxes. */
export class DeadLetterRetry {
  #catalogue: Promise<readonly CatalogueRecord[]> | undefined
  readonly #inboxes = new Map<string, Promise<void>>()

  constructor(
    private readonly bus: Bus,
    private readonly letters = new DeadLetters(bus),
  ) {}

  /**
   * Sends one letter's event to the agent that gave it up, and to no other, then deletes the letter. The event keeps its
   * id, so what the agent emits has the same ids as it would have had the first time.
   *
   * @param timeoutMs how long to try to publish
   * @throws MurmurError `DEAD_OMITTED`, `DEAD_MALFORMED`, `DEAD_AGENT`, `DEAD_REACT`: it cannot be retried, and why
   */
  async retry(stored: StoredLetter, timeoutMs: number): Promise<PublishAck> {
    const { letter, seq } = stored
    const { partitions } = await this.#check(letter)
    await this.#openInbox({ name: letter.agent, partitions })
    const event = eventOf(letter)
    const draft = {
      // the same for each time that this letter is tried: a retry that broke off after the publish stores nothing new
      id: derivedId("retry", letter.id, seq),
      type: inboxType(letter.agent),
      key: event.key,
      data: event,
    }
    const cause = { ...event, seq: 0 }
    const ack = await this.bus.publish(draft, { producer: "cli", cause, trace: event.trace, timeoutMs })
    await this.letters.drop(stored)
    return ack
  }

  async #check({ id, reason, agent, omitted, event }: DeadLetter): Promise<CatalogueRecord> {
    if (omitted !== undefined) {
      const where = `it is event ${event.seq} of the stream ${this.bus.names.events}, while that is kept. Publish it again instead`
      throw refusal(id, "DEAD_OMITTED", `the letter does not hold the event's data; ${where}`)
    }
    if (reason === "malformed") {
      throw refusal(
        id,
        "DEAD_MALFORMED",
        "what arrived was no event, and would not be one now. Mend who publishes it, then drop the letter",
      )
    }
    this.#catalogue ??= openBuckets(this.bus).then(({ catalogue }) => readAll(catalogue, CatalogueRecord))
    const record = (await this.#catalogue).find(({ kind, name }) => kind === "agent" && name === agent)
    if (record === undefined) {
      throw refusal(id, "DEAD_AGENT", `the mesh knows no agent "${agent}". Start a node that hosts it, then try again`)
    }
    if (record.behaviour === "react") {
      throw refusal(
        id,
        "DEAD_REACT",
        `"${agent}" reacts to a stream, in which one event cannot be repeated alone. Publish the event again instead ("murmur dead show ${id}" has it)`,
      )
    }
    return record
  }

  #openInbox(agent: Pick<CatalogueRecord, "name" | "partitions">): Promise<void> {
    let open = this.#inboxes.get(agent.name)
    if (open === undefined) {
      open = openBuckets(this.bus).then(({ settings }) => openInbox(this.bus, settings, agent))
      this.#inboxes.set(agent.name, open)
    }
    return open
  }
}

/** The error of an id that no letter has. */
export function unknownLetter(id: string): MurmurError {
  return new MurmurError(`There is no dead letter "${id}" (see "murmur dead ls")`, {
    code: "DEAD_UNKNOWN",
    details: { id },
  })
}

/** Whether a letter is meant by an id, or by its first characters. */
export function names(id: string, letter: DeadLetter): boolean {
  return letter.id === id || (id.length >= PREFIX_MIN && letter.id.startsWith(id))
}

function refusal(id: string, code: string, why: string): MurmurError {
  return new MurmurError(`Cannot retry dead letter ${id}: ${why}`, { code, details: { id } })
}

function parse(data: Uint8Array): DeadLetter | undefined {
  try {
    return DeadLetter.safeParse(JSON.parse(Buffer.from(data).toString())).data
  } catch {
    return undefined
  }
}

/** What the CloudEvents form of an event has besides its extensions, and what only the transport knows. */
const NOT_EXTENSIONS = new Set([
  ...["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"],
  ...["correlationid", "causationid", "hops", "causalpath", "trust", "traceparent", "tracestate", "producer", "seq"],
])

/** The event of a letter, as its agent had it. */
export function eventOf({ event }: DeadLetter): Omit<MurmurEvent, "seq"> {
  const json = event as Record<string, unknown> & DeadLetter["event"]
  const text = (name: string): string | undefined => (typeof json[name] === "string" ? json[name] : undefined)
  const traceparent = text("traceparent")
  const tracestate = text("tracestate")
  const extensions = Object.entries(json).filter(([name]) => !NOT_EXTENSIONS.has(name))
  return {
    id: json.id,
    source: text("source") ?? "",
    type: json.type,
    time: text("time") ?? new Date().toISOString(),
    key: json.subject,
    data: json.data,
    producer: json.producer,
    correlationid: text("correlationid") ?? json.id,
    causationid: text("causationid"),
    hops: typeof json.hops === "number" ? json.hops : 0,
    path: readPath(json.causalpath),
    trust: json.trust === "internal" ? "internal" : "external",
    trace: traceparent === undefined ? undefined : { traceparent, ...(tracestate !== undefined && { tracestate }) },
    extensions: Object.fromEntries(extensions) as MurmurEvent["extensions"],
  }
}
