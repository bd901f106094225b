import { expect } from "vitest"
import { DeadLetter } from "../../src/agents/dead-letters.js"
import { type CommitRecord, parseSessionRecord } from "../../src/agents/sessions/record.js"
import type { Bus } from "../../src/bus/bus.js"
import { decode } from "../../src/bus/decode.js"
import type { MurmurEvent } from "../../src/bus/event.js"
import { type ReadMessage, readHistory } from "../../src/bus/reader.js"
import { until } from "./mesh.js"

/** What is to hold of one agent with state when its work is done. */
export interface CheckOptions {
  readonly agent: string
  /** Patterns of the events that it reacts to. */
  readonly on: readonly string[]
  /** Whether each output must be stored once, not only once by id: inside the dedup window. Default true. */
  readonly storedOnce?: boolean
  /** How long its consumers may take to be drained, in milliseconds. Default 20_000. */
  readonly withinMs?: number
}

/** What the checker found, for more that a test wants to know. */
export interface Checked {
  /** The events it had to handle, by id, in stream order. */
  readonly events: ReadonlyMap<string, MurmurEvent>
  /** The commits of each session, by the session's subject, in log order. */
  readonly sessions: ReadonlyMap<string, readonly CommitRecord[]>
  /** What it published, in stream order, repeats included. */
  readonly outputs: readonly MurmurEvent[]
  /** Ids of the events it gave up. */
  readonly dead: ReadonlySet<string>
}

/**
 * The end of every chaos test: waits until the agent's consumers are drained, then reads the streams and holds them to
 * what murmur promises, whatever happened in between. Each event is committed or a dead letter, and only one of the
 * two; one commit per cause; the outputs on the bus are those in the commits, by id; order per key; nothing unacked.
 */
export async function checkMesh(bus: Bus, options: CheckOptions): Promise<Checked> {
  await untilDrained(bus, options.agent, options.withinMs)
  let found = await readMesh(bus, options)
  // a consumer may not know yet of what was acked a moment ago: 35 of 9,105 that were asked at once did not
  const whole = async (): Promise<boolean> => {
    if (!isWhole(found)) found = await readMesh(bus, options)
    return isWhole(found)
  }
  await until("every event is committed or dead", whole, options.withinMs).catch(() => {}) // which are not is told below
  checkCauses(found)
  checkOutputs(found, options.storedOnce ?? true)
  return found
}

async function readMesh(bus: Bus, { agent, on }: CheckOptions): Promise<Checked> {
  const [events, sessions, outputs, dead] = await Promise.all([
    readInputs(bus, on),
    readSessions(bus, agent),
    readEvents(bus, bus.names.storedFilter(">", { producer: agent })),
    readDead(bus, agent),
  ])
  return { events, sessions, outputs, dead }
}

/** Whether no event is without a commit and a dead letter, and no output of a commit is missing. */
function isWhole({ events, sessions, outputs, dead }: Checked): boolean {
  const commits = [...sessions.values()].flat()
  const done = new Set([...commits.map(({ cause }) => cause.id), ...dead])
  const sent = new Set(outputs.map(({ id }) => id))
  return (
    [...events.keys()].every((id) => done.has(id)) &&
    commits.every((commit) => commit.outputs.every(({ id }) => sent.has(id)))
  )
}

/** Waits until nothing of an agent is waiting or unacked. Works also when no node runs. */
export async function untilDrained(bus: Bus, agent: string, timeoutMs = 20_000): Promise<void> {
  let left: unknown
  const drained = async (): Promise<boolean> => {
    const consumers = await bus.link.manager.consumers.list(bus.names.events).next()
    const own = consumers.filter(({ name }) => name === agent || name.startsWith(`${agent}=`))
    left = own.map((info) => ({ name: info.name, unacked: info.num_ack_pending, waiting: info.num_pending }))
    return own.length > 0 && own.every((info) => info.num_ack_pending === 0 && info.num_pending === 0)
  }
  await until(`the consumers of "${agent}" are drained`, drained, timeoutMs).catch((cause) => {
    throw new Error(`Not drained: ${JSON.stringify(left)}`, { cause })
  })
}

/** Every event is in exactly one of commits and dead letters; a session has one commit per cause, in stream order. */
function checkCauses({ events, sessions, dead }: Checked): void {
  const committed: string[] = []
  for (const [subject, commits] of sessions) {
    const ids = commits.map(({ cause }) => cause.id)
    expect(repeated(ids), `causes with more than one commit in ${subject}`).toEqual([])
    const inOrder = commits.map(({ cause }) => cause.seq).filter((seq) => seq > 0)
    expect(inOrder, `order of the causes in ${subject}`).toEqual(inOrder.toSorted((a, b) => a - b))
    committed.push(...ids)
  }
  expect(repeated(committed), "causes committed in more than one session").toEqual([])
  expect([...committed, ...dead].toSorted(), "committed or dead").toEqual([...events.keys()].toSorted())
}

/** On the bus is what is in the commits: by id, in the order of the commits. */
function checkOutputs({ sessions, outputs }: Checked, storedOnce: boolean): void {
  const ids = outputs.map(({ id }) => id)
  if (storedOnce) expect(repeated(ids), "outputs stored more than once").toEqual([])
  const first = new Map([...outputs].reverse().map(({ id, seq }) => [id, seq]))
  const decided: string[] = []
  for (const [subject, commits] of sessions) {
    const own = commits.flatMap((commit) => commit.outputs.map(({ id }) => id))
    const places = own.map((id) => first.get(id))
    expect(places, `all outputs of ${subject} are on the bus`).not.toContain(undefined)
    expect(places, `order of the outputs of ${subject}`).toEqual(places.toSorted((a, b) => Number(a) - Number(b)))
    decided.push(...own)
  }
  expect([...new Set(ids)].toSorted(), "outputs on the bus and in commits").toEqual(decided.toSorted())
}

function repeated(ids: readonly string[]): string[] {
  const seen = new Set<string>()
  return ids.filter((id) => seen.size === seen.add(id).size)
}

async function readInputs(bus: Bus, patterns: readonly string[]): Promise<Map<string, MurmurEvent>> {
  const lists = await Promise.all(patterns.map((pattern) => readEvents(bus, bus.names.storedFilter(pattern))))
  const events = lists.flat().toSorted((a, b) => b.seq - a.seq)
  return new Map(events.map((event) => [event.id, event] as const).reverse())
}

async function readEvents(bus: Bus, filter: string): Promise<MurmurEvent[]> {
  const events: MurmurEvent[] = []
  for (const message of await readAll(bus, bus.names.events, filter)) {
    const decoded = decode(bus.names, message)
    if (decoded.ok) events.push(decoded.event)
  }
  return events
}

async function readSessions(bus: Bus, agent: string): Promise<Map<string, CommitRecord[]>> {
  const sessions = new Map<string, CommitRecord[]>()
  for (const { subject, data, seq } of await readAll(
    bus,
    bus.names.sessionsOf("any"),
    `${bus.names.mesh}.ses.${agent}.*`,
  )) {
    const record = parseSessionRecord(data, subject, seq)
    const commits = sessions.get(subject) ?? []
    sessions.set(subject, commits)
    if (record.kind === "commit") commits.push(record)
  }
  return sessions
}

async function readDead(bus: Bus, agent: string): Promise<Set<string>> {
  const letters = await readAll(bus, bus.names.dead, `${bus.names.mesh}.dead.${agent}.*`)
  return new Set(letters.map(({ data }) => DeadLetter.parse(JSON.parse(Buffer.from(data).toString())).event.id))
}

/** All messages of a stream under a filter, as they lie there. */
export async function readAll(bus: Bus, stream: string, filter: string): Promise<ReadMessage[]> {
  const messages: ReadMessage[] = []
  for await (const message of readHistory(bus.link, { stream, filter, from: { seq: 1 } })) messages.push(message)
  return messages
}
