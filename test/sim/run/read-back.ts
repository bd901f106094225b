import { DeadLetter } from "../../../src/agents/dead-letters.js"
import type { AgentDefinition } from "../../../src/agents/define-agent.js"
import { type CommitRecord, parseSessionRecord, type SessionRecord } from "../../../src/agents/sessions/record.js"
import { decode } from "../../../src/bus/decode.js"
import type { MurmurEvent } from "../../../src/bus/event.js"
import type { SimMesh } from "./mesh.js"

/** What a run has left behind for one agent. */
export interface Leftovers {
  readonly agent: AgentDefinition
  /** The events that it had to handle, by id, each as often as it was stored. */
  readonly inputs: ReadonlyMap<string, readonly MurmurEvent[]>
  /** By the session's subject. */
  readonly sessions: ReadonlyMap<string, readonly SessionRecord[]>
  /** What it published, repeats included. */
  readonly outputs: readonly MurmurEvent[]
  /** Ids of what it gave up, and why. */
  readonly dead: ReadonlyMap<string, string>
}

/** Reads the streams. */
export function readBack(mesh: SimMesh, agent: AgentDefinition): Leftovers {
  const { names, streams } = mesh
  const types = new Set(agent.triggers.map(({ pattern }) => pattern))
  const inputs = new Map<string, MurmurEvent[]>()
  const outputs: MurmurEvent[] = []
  for (const { subject, data, seq, time, id } of streams.events.records) {
    const header = (name: string): string | undefined => (name === "Nats-Msg-Id" ? id : undefined)
    const decoded = decode(names, { subject, data, seq, time, header, headerNames: () => [] })
    if (!decoded.ok) throw new Error(`The simulated mesh has a message that is no event: ${subject}`)
    const { event } = decoded
    if (event.producer === agent.name) outputs.push(event)
    if (types.has(event.type)) inputs.set(event.id, [...(inputs.get(event.id) ?? []), event])
  }
  const sessions = new Map<string, SessionRecord[]>()
  for (const { subject, data, seq } of streams.sessions.under(`${names.mesh}.ses.${agent.name}.*`)) {
    sessions.set(subject, [...(sessions.get(subject) ?? []), parseSessionRecord(data, subject, seq)])
  }
  const dead = new Map<string, string>()
  for (const { data } of streams.dead.under(`${names.mesh}.dead.${agent.name}.*`)) {
    const letter = DeadLetter.parse(JSON.parse(Buffer.from(data).toString()))
    dead.set(letter.event.id, `${letter.reason}: ${letter.error.message}`)
  }
  return { agent, inputs, sessions, outputs, dead }
}

/** The commits of a session, in order. */
export function commitsIn(records: readonly SessionRecord[]): CommitRecord[] {
  return records.filter((record) => record.kind === "commit")
}
