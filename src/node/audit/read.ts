import { DeadLetter } from "../../agents/dead-letters.js"
import { type CommitRecord, parseSessionRecord } from "../../agents/sessions/record.js"
import type { BusCore } from "../../bus/bus-core.js"
import { decode } from "../../bus/decode.js"
import type { MurmurEvent } from "../../bus/event.js"
import { type ReadMessage, readHistory } from "../../bus/reader.js"

/** All that the streams hold of one agent's work. */
export interface AgentHistory {
  /** The events that it had to handle, by id, in stream order. One that is stored again counts where it was stored first. */
  readonly events: ReadonlyMap<string, MurmurEvent>
  /** The commits of each session, by the session's subject, in log order. */
  readonly sessions: ReadonlyMap<string, readonly CommitRecord[]>
  /** What it published, in stream order, repeats included. */
  readonly outputs: readonly MurmurEvent[]
  /** Ids of the events that it gave up. */
  readonly dead: ReadonlySet<string>
}

/** Reads all that the streams hold of one agent's work. @param on the patterns of the events that it reacts to */
export async function readAgentHistory(bus: BusCore, agent: string, on: readonly string[]): Promise<AgentHistory> {
  const [events, sessions, outputs, dead] = await Promise.all([
    readInputs(bus, on),
    readSessions(bus, agent),
    readEvents(bus, bus.names.storedFilter(">", { producer: agent })),
    readDead(bus, agent),
  ])
  return { events, sessions, outputs, dead }
}

/** Every message that a stream holds now and whose subject fits a filter. */
export async function readAllMessages(bus: BusCore, stream: string, filter: string): Promise<ReadMessage[]> {
  const messages: ReadMessage[] = []
  for await (const message of readHistory(bus.link, { stream, filter, from: { seq: 1 } })) messages.push(message)
  return messages
}

async function readInputs(bus: BusCore, patterns: readonly string[]): Promise<Map<string, MurmurEvent>> {
  const lists = await Promise.all(patterns.map((pattern) => readEvents(bus, bus.names.storedFilter(pattern))))
  const events = new Map<string, MurmurEvent>()
  for (const event of lists.flat().sort((a, b) => a.seq - b.seq)) {
    if (!events.has(event.id)) events.set(event.id, event)
  }
  return events
}

async function readEvents(bus: BusCore, filter: string): Promise<MurmurEvent[]> {
  const events: MurmurEvent[] = []
  for (const message of await readAllMessages(bus, bus.names.events, filter)) {
    const decoded = decode(bus.names, message)
    if (decoded.ok) events.push(decoded.event)
  }
  return events
}

async function readSessions(bus: BusCore, agent: string): Promise<Map<string, CommitRecord[]>> {
  const sessions = new Map<string, CommitRecord[]>()
  const filter = `${bus.names.mesh}.ses.${agent}.*`
  for (const { subject, data, seq } of await readAllMessages(bus, bus.names.sessionsOf(agent), filter)) {
    const record = parseSessionRecord(data, subject, seq)
    const commits = sessions.get(subject) ?? []
    sessions.set(subject, commits)
    if (record.kind === "commit") commits.push(record)
  }
  return sessions
}

async function readDead(bus: BusCore, agent: string): Promise<Set<string>> {
  const letters = await readAllMessages(bus, bus.names.dead, `${bus.names.mesh}.dead.${agent}.*`)
  return new Set(letters.map(({ data }) => DeadLetter.parse(JSON.parse(Buffer.from(data).toString())).event.id))
}
