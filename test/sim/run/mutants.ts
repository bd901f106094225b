import type { HandlerPorts } from "../../../src/agents/ports.js"
import { parseSessionRecord, type SessionRecord } from "../../../src/agents/sessions/record.js"
import type { LogRecord, RecordLog } from "../../../src/bus/record-log.js"
import type { SimMeshOptions } from "./mesh.js"

type Ports = Omit<HandlerPorts, "routing">
export type Tamper = NonNullable<SimMeshOptions["tamper"]>

/** A runtime that is broken in one way, and what has to be found. */
export interface Mutant {
  readonly tamper: Tamper
  readonly found: RegExp
}

/** The log, without a part of what it does. */
function patched(log: RecordLog, patch: Partial<RecordLog>): RecordLog {
  return {
    append: patch.append ?? ((...args) => log.append(...args)),
    last: patch.last ?? ((subject) => log.last(subject)),
    at: patch.at ?? ((seq) => log.at(seq)),
    read: patch.read ?? ((subject, range) => log.read(subject, range)),
    deleteBefore: patch.deleteBefore ?? ((subject, seq) => log.deleteBefore(subject, seq)),
  }
}

/** Appends behind whatever is there. */
function unfenced(log: RecordLog): RecordLog {
  return patched(log, {
    append: async (subject, payload, _, options) => {
      const last = await log.last(subject)
      return log.append(subject, payload, last?.seq ?? 0, options)
    },
  })
}

/** Reads journals without the answers of some calls. */
function forgetting(log: RecordLog, isForgotten: (call: string) => boolean): RecordLog {
  return patched(unfenced(log), {
    async *read(subject, range) {
      for await (const record of log.read(subject, range)) {
        const { kind, call = "" } = JSON.parse(Buffer.from(record.data).toString()) as { kind: string; call?: string }
        if (kind !== "answer" || !isForgotten(call)) yield record
      }
    },
  })
}

async function* nothing(): AsyncIterable<LogRecord> {}

/** A session's record as if nobody remembered what caused it. */
function causeless<R extends LogRecord | undefined>(record: R): R {
  if (record === undefined) return record
  const parsed: SessionRecord = parseSessionRecord(record.data, record.subject, record.seq)
  const changed =
    parsed.kind === "commit"
      ? { ...parsed, cause: { ...parsed.cause, id: "forgotten", seq: 0 } }
      : { ...parsed, causes: { through: 0, recent: [] } }
  return { ...record, data: Buffer.from(JSON.stringify(changed)) }
}

const withLogs = (ports: Ports, logs: Partial<Ports["logs"]>): Ports => ({ ...ports, logs: { ...ports.logs, ...logs } })

/** Mistakes that somebody could make. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "commits without a fence": {
    tamper: (ports) => withLogs(ports, { sessions: unfenced(ports.logs.sessions) }),
    found: /one commit per cause/,
  },
  "outputs are published before the commit": {
    tamper: (ports) => {
      const { sessions } = ports.logs
      const append: RecordLog["append"] = async (subject, payload, expectedSeq) => {
        const record = parseSessionRecord(payload, subject, 0)
        if (record.kind === "commit") for (const output of record.outputs) await ports.events.store(output)
        return sessions.append(subject, payload, expectedSeq)
      }
      return withLogs(ports, { sessions: patched(sessions, { append }) })
    },
    found: /what is published is committed/,
  },
  "nobody looks whether an event is committed": {
    tamper: (ports) => {
      const { sessions } = ports.logs
      const blind = patched(sessions, {
        last: async (subject) => causeless(await sessions.last(subject)),
        at: async (seq) => causeless(await sessions.at(seq)),
        async *read(subject, range) {
          for await (const record of sessions.read(subject, range)) yield causeless(record)
        },
      })
      return withLogs(ports, { sessions: blind })
    },
    found: /one commit per cause/,
  },
  "what is in the journal is not read": {
    tamper: (ports) => {
      const { steps } = ports.logs
      return withLogs(ports, { steps: patched(unfenced(steps), { read: nothing }) })
    },
    found: /completed calls are not repeated/,
  },
  "what a model has answered is not read in the journal": {
    tamper: (ports) => withLogs(ports, { steps: forgetting(ports.logs.steps, (call) => call === "llm") }),
    found: /completed calls are not repeated: .* made "turn /,
  },
  "what a model was told of an error is not read in the journal": {
    tamper: (ports) => withLogs(ports, { steps: forgetting(ports.logs.steps, (call) => call.startsWith("told of ")) }),
    found: /has an answer, and failed|a step that runs again is the same/,
  },
  "events are acked before their step": {
    tamper: (ports) => ({
      ...ports,
      openLane: (durable, handler, options) =>
        ports.openLane(
          durable,
          {
            ...{ onOwned: (...args) => handler.onOwned(...args), onLost: () => handler.onLost() },
            onPassive: (elsewhere) => handler.onPassive?.(elsewhere),
            onDelivery: (delivery) => {
              delivery.ack()
              handler.onDelivery(delivery)
            },
          },
          options,
        ),
    }),
    found: /each event is (committed|handled) or a dead letter: .* is neither/,
  },
  "dead letters are not waited for": {
    tamper: (ports, mesh) => ({
      ...ports,
      deadLetters: Object.assign(Object.create(ports.deadLetters), {
        write: async (given: { agent: string; event: { id: string } }) => {
          if (mesh.world.random.chance(0.5)) return { id: "lost", ...given }
          return ports.deadLetters.write(given as never)
        },
      }),
    }),
    found: /is neither/,
  },
  "timers are not set": {
    tamper: (ports) => ({ ...ports, suspension: { ...ports.suspension, setTimer: async () => {} } }),
    found: /is neither/,
  },
  "what a dead node committed and did not publish is taken for published": {
    tamper: (ports, mesh) => ({
      ...ports,
      events: {
        store: (event) => ports.events.store(event),
        publish: (draft, options) => ports.events.publish(draft, options),
        read: (seq) => ports.events.read(seq),
        async *ids() {
          for (const { data, subject, seq } of mesh.streams.sessions.records) {
            const record = parseSessionRecord(data, subject, seq)
            if (record.kind === "commit") for (const { id } of record.outputs) yield id
          }
        },
      },
    }),
    found: /outputs of commits are published/,
  },
  "outputs have new ids each time": {
    tamper: (ports, mesh) => ({
      ...ports,
      events: {
        store: (event) => ports.events.store({ ...event, id: `${event.id} ${mesh.nextNumber()}` }),
        publish: (draft, options) => ports.events.publish(draft, options),
        read: (seq) => ports.events.read(seq),
        ids: (producer, key, since) => ports.events.ids(producer, key, since),
      },
    }),
    found: /what is published is committed/,
  },
}
