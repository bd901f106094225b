import type { BusCore } from "../bus/bus-core.js"
import { type Decoded, decode } from "../bus/decode.js"
import type { MurmurEvent } from "../bus/event.js"
import { type ReadMessage, readHistory } from "../bus/reader.js"
import { streamInfo } from "../bus/streams.js"
import { MurmurError } from "../errors.js"
import { DeadLetters } from "./dead-letter-store.js"
import { findEvent, type SearchOptions } from "./event-search.js"
import { isRunEvent, type Reaction, reactionOf, withReaction } from "./run-costs.js"

/** An agent gave the event up. */
export interface TreeLetter {
  readonly id: string
  readonly agent: string
  readonly reason: string
  readonly error: { readonly code: string; readonly message: string }
  readonly attempts: number
  readonly at: string
}

/** One event and what it led to. */
export interface TreeEvent {
  readonly id: string
  readonly type: string
  readonly producer: string
  readonly key: string | null
  readonly time: string
  /** By the order in which they were stored. */
  readonly effects: TreeEvent[]
  readonly traceId: string | null
  readonly deadLetters: TreeLetter[]
  /** What agents that reacted to it have used of models. */
  readonly reactions: readonly Reaction[]
  readonly seq: number
  readonly causationid: string | null
  /** From the moment its cause was stored to the moment it was stored, by the server's clock; `null` at the root. */
  readonly afterMs: number | null
  /** From the moment the root was stored. */
  readonly sinceRootMs: number
}

/** The causal tree of an event. */
export interface CausalTree {
  readonly root: TreeEvent
  /** Id of the event that was asked for: its own, also when it was named by its sequence. */
  readonly asked: string
  /** Whether the stream was read to its end. */
  readonly complete: boolean
  /** Sentences on what could not be found. */
  readonly notes: readonly string[]
}

/** The search for effects ends when so many events have passed since the last one that belongs to the tree. */
const QUIET_MAX = 200_000
/** And after so many in any case. */
const READ_MAX = 2_000_000
const BATCH_MAX = 2_000
/** How far before an event its tree begins when the root is gone. */
const BEFORE_MAX = 100_000

/**
 * The tree that an event belongs to, from the root down. Any event of the tree may be named.
 *
 * @throws MurmurError `EVENT_UNKNOWN` when the event is not found
 */
export async function causalTree(bus: BusCore, id: string, options: SearchOptions = {}): Promise<CausalTree> {
  const asked = await findEvent(bus, id, options)
  if (asked === undefined) throw unknownEvent(id, options)
  const event = decode(bus.names, asked)
  const rootId = correlationOf(event)
  const askedId = event.ok && isRunEvent(event.event) ? (event.event.causationid ?? idOf(event)) : idOf(event)
  const root = rootId === askedId ? asked : await findEvent(bus, rootId, { ...options, beforeSeq: asked.seq })
  const from = root?.seq ?? Math.max(1, asked.seq - BEFORE_MAX)
  const notes = root === undefined ? [`The root event ${rootId} is not in the stream any more`] : []
  const collected = await collect(bus, rootId, from, options.signal)
  if (!collected.complete)
    notes.push(`Read ${collected.read} events behind the root and stopped: later effects are not shown`)
  const letters = await lettersOf(bus, rootId, options.signal)
  const complete = collected.complete && root !== undefined
  return { root: build(collected, rootId, letters), asked: askedId, complete, notes }
}

/** What is known of one stored event of the tree. */
interface Found {
  readonly decoded: Decoded
  readonly storedAt: number
}

/** What was found of a tree. */
interface Collected {
  readonly events: readonly Found[]
  /** Of each event that tells of a run: the event that the run was about. */
  readonly runs: ReadonlyMap<string, string>
  /** What runs have used, by the event that they were about. */
  readonly reactions: ReadonlyMap<string, readonly Reaction[]>
  readonly read: number
  readonly complete: boolean
}

async function collect(
  bus: BusCore,
  rootId: string,
  from: number,
  signal: AbortSignal | undefined,
): Promise<Collected> {
  const { names, link } = bus
  const toSeq = (await streamInfo(link.manager, names.events))?.state.last_seq ?? from
  const mark = Buffer.from(JSON.stringify(rootId).slice(1, -1))
  const filter = names.eventSubjects().published
  const events: Found[] = []
  const runs = new Map<string, string>()
  const reactions = new Map<string, Reaction[]>()
  const reading = { stream: names.events, filter, from: { seq: from }, toSeq, batchMax: BATCH_MAX, signal }
  let read = 0
  let quiet = 0
  for await (const message of readHistory(link, reading)) {
    if (read >= READ_MAX || quiet >= QUIET_MAX) return { events, runs, reactions, read, complete: false }
    read += 1
    quiet += 1
    if (message.seq !== from && !mentions(message, mark, rootId)) continue
    const decoded = decode(names, message)
    if (correlationOf(decoded) !== rootId) continue
    quiet = 0
    if (decoded.ok && isRunEvent(decoded.event)) noteRun(decoded.event, runs, reactions)
    else events.push({ decoded, storedAt: message.time.getTime() })
  }
  return { events, runs, reactions, read, complete: true }
}

function noteRun(event: MurmurEvent, runs: Map<string, string>, reactions: Map<string, Reaction[]>): void {
  const { id, causationid } = event
  if (causationid === undefined || runs.has(id)) return
  runs.set(id, causationid)
  const reaction = reactionOf(event)
  if (reaction !== undefined) reactions.set(causationid, withReaction(reactions.get(causationid) ?? [], reaction))
}

/** Looks for the root's id before anything is parsed: most events of the stream belong to other trees. */
function mentions(message: ReadMessage, mark: Buffer, rootId: string): boolean {
  const { data } = message
  if (Buffer.from(data.buffer, data.byteOffset, data.byteLength).includes(mark)) return true
  return message.header("ce-correlationid") === rootId || message.header("ce-id") === rootId
}

function correlationOf(decoded: Decoded): string {
  return decoded.ok ? decoded.event.correlationid : decoded.partial.id
}

async function lettersOf(
  bus: BusCore,
  rootId: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, TreeLetter[]>> {
  const letters = new Map<string, TreeLetter[]>()
  for await (const { letter } of new DeadLetters(bus).list({}, signal)) {
    const { id, agent, reason, error, attempts, at, event } = letter
    if ((event.correlationid ?? event.id) !== rootId) continue
    const { code, message } = error
    push(letters, event.id, { id, agent, reason, error: { code, message }, attempts: attempts.length, at })
  }
  return letters
}

function build(
  { events: found, runs, reactions }: Collected,
  rootId: string,
  letters: ReadonlyMap<string, TreeLetter[]>,
): TreeEvent {
  const byId = new Map<string, Found>()
  for (const one of found) if (!byId.has(idOf(one.decoded))) byId.set(idOf(one.decoded), one) // stored twice: once in effect
  const effects = new Map<string, Found[]>()
  const orphans: Found[] = []
  for (const one of byId.values()) {
    const told = causeOf(one)
    const cause = told === undefined ? undefined : (runs.get(told) ?? told) // who hears of a run hears of its event
    if (idOf(one.decoded) === rootId) continue
    if (cause === undefined || !byId.has(cause)) orphans.push(one)
    else push(effects, cause, one)
  }
  const root = byId.get(rootId)
  const rootAt = (root ?? found[0])?.storedAt ?? 0
  const node = (one: Found, causeAt: number | null): TreeEvent => ({
    ...facts(one),
    deadLetters: letters.get(idOf(one.decoded)) ?? [],
    reactions: reactions.get(idOf(one.decoded)) ?? [],
    afterMs: causeAt === null ? null : one.storedAt - causeAt,
    sinceRootMs: one.storedAt - rootAt,
    effects: (effects.get(idOf(one.decoded)) ?? []).map((effect) => node(effect, one.storedAt)),
  })
  const top = root === undefined ? goneRoot(rootId) : node(root, null)
  // the cause of these is gone, or was never stored: they belong to the tree all the same
  for (const orphan of orphans) top.effects.push(node(orphan, null))
  return top
}

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

const idOf = (decoded: Decoded): string => (decoded.ok ? decoded.event.id : decoded.partial.id)
const causeOf = ({ decoded }: Found): string | undefined => (decoded.ok ? decoded.event.causationid : undefined)

function facts({ decoded }: Found) {
  const { id, type, producer, key, time, seq } = decoded.ok ? decoded.event : decoded.partial
  const trace = decoded.ok ? decoded.event.trace : undefined
  const causationid = decoded.ok ? (decoded.event.causationid ?? null) : null
  return {
    id,
    type,
    producer,
    key: key ?? null,
    time,
    seq,
    causationid,
    traceId: trace?.traceparent.split("-")[1] ?? null,
  }
}

/** Stands for a root that was deleted by age, so that what is left of the tree has a top. */
function goneRoot(id: string): TreeEvent {
  const unknown = {
    type: "unknown",
    producer: "unknown",
    key: null,
    time: "",
    seq: 0,
    causationid: null,
    traceId: null,
  }
  return { id, ...unknown, effects: [], deadLetters: [], reactions: [], afterMs: null, sinceRootMs: 0 }
}

function unknownEvent(id: string, { since }: SearchOptions): MurmurError {
  const where = since === undefined ? "the newest events" : `the events since ${since.toISOString()}`
  return new MurmurError(
    `There is no event "${id}" among ${where}. Is the id whole ("murmur tail --json" shows it)? --since <time> looks from a time on`,
    { code: "EVENT_UNKNOWN", details: { id } },
  )
}
