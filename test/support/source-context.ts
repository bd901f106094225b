import { randomUUID } from "node:crypto"
import type { EventDraft } from "../../src/bus/event.js"
import type { PublishAck } from "../../src/bus/publisher.js"
import { MurmurError } from "../../src/errors.js"
import type { CronDue, CronSchedule, SourceContext, SourceDefinition, SourceState } from "../../src/sources/source.js"
import type { Log } from "../../src/telemetry/ports.js"

const STATE_VALUE_BYTES_MAX = 512 * 1024

/** One line that a source logged. */
export interface LogLine {
  level: keyof Log
  fields: Record<string, unknown>
  message: string
}

export interface RecordingOptions {
  /** What the source remembers; hand the same map to the next run to restart it. */
  memory?: Map<string, string>
  /** Runs before each publish is acked: wait in it to be slow, throw in it to refuse. */
  onPublish?: (draft: EventDraft) => Promise<void> | void
  /** Runs before each state write. */
  onPut?: (key: string) => Promise<void> | void
}

/** A SourceContext that records instead of publishing, and what a test needs to steer it. */
export interface RecordingContext {
  readonly ctx: SourceContext
  /** What was acked as new, in order. */
  readonly published: EventDraft[]
  /** Drafts whose id had been acked before. */
  readonly repeated: EventDraft[]
  readonly logs: LogLine[]
  readonly memory: Map<string, string>
  readonly schedules: CronSchedule[]
  /** How many publishes wait for their ack now, and how many did at most. */
  readonly inflight: { now: number; max: number }
  types(): string[]
  /** Lets a schedule fire, as the server would; resolves when the source has handled it. */
  fire(schedule: string, at: Date): Promise<void>
  stop(): void
}

/** Makes a context for `source` that checks drafts against `emits` as the real one does. */
export function recordSource(source: SourceDefinition, options: RecordingOptions = {}): RecordingContext {
  const stopping = new AbortController()
  const memory = options.memory ?? new Map<string, string>()
  const published: EventDraft[] = []
  const repeated: EventDraft[] = []
  const logs: LogLine[] = []
  const inflight = { now: 0, max: 0 }
  const crons = cronStub(stopping.signal)
  const seen = new Set<string>()

  const publish = async (draft: EventDraft): Promise<PublishAck> => {
    validate(source, draft)
    inflight.now += 1
    inflight.max = Math.max(inflight.max, inflight.now)
    try {
      await options.onPublish?.(draft)
    } finally {
      inflight.now -= 1
    }
    const id = draft.id ?? randomUUID()
    const duplicate = seen.has(id)
    seen.add(id)
    ;(duplicate ? repeated : published).push(draft)
    return { id, type: draft.type, key: draft.key, seq: published.length, duplicate }
  }

  return {
    ctx: {
      name: source.name,
      signal: stopping.signal,
      log: recordingLog(logs),
      state: mapState(memory, options.onPut),
      publish,
      cron: crons.cron,
    },
    published,
    repeated,
    logs,
    memory,
    schedules: crons.schedules,
    inflight,
    types: () => published.map((draft) => draft.type),
    fire: crons.fire,
    stop: () => stopping.abort(),
  }
}

function validate(source: SourceDefinition, draft: EventDraft): void {
  const definition = source.emits.find((event) => event.type === draft.type)
  if (definition === undefined) {
    throw new MurmurError(`Source "${source.name}" does not emit ${draft.type}`, { code: "EMIT_UNDECLARED" })
  }
  const parsed = definition.schema.safeParse(draft.data)
  if (!parsed.success) {
    const issues = JSON.stringify(parsed.error.issues)
    throw new MurmurError(`Data of ${draft.type} does not fit its schema: ${issues}`, { code: "EVENT_DATA" })
  }
}

function mapState(memory: Map<string, string>, onPut: RecordingOptions["onPut"]): SourceState {
  return {
    get: async <T>(key: string) => parse<T>(memory.get(key)),
    async put(key, value) {
      if (!/^[\w=.-]+$/.test(key)) throw new Error(`not a key that a KV bucket takes: ${key}`)
      const text = JSON.stringify(value)
      if (text.length > STATE_VALUE_BYTES_MAX) throw new Error(`state value too large: ${key}, ${text.length} bytes`)
      await onPut?.(key)
      memory.set(key, text)
    },
    async delete(key) {
      memory.delete(key)
    },
    async *entries<T>() {
      for (const [key, text] of [...memory]) yield [key, JSON.parse(text) as T] as const
    },
  }
}

function parse<T>(text: string | undefined): T | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as T)
}

function recordingLog(logs: LogLine[]): Log {
  const at = (level: keyof Log) => (fields: object, message: string) => {
    logs.push({ level, fields: { ...fields }, message })
  }
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}

function cronStub(signal: AbortSignal) {
  const schedules: CronSchedule[] = []
  const handlers = new Map<string, (due: CronDue) => Promise<void>>()
  return {
    schedules,
    async cron(schedule: CronSchedule, onDue: (due: CronDue) => Promise<void>): Promise<void> {
      schedules.push(schedule)
      handlers.set(schedule.name, onDue)
      if (signal.aborted) return
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
    },
    async fire(name: string, at: Date): Promise<void> {
      const handler = handlers.get(name)
      if (handler === undefined) throw new Error(`no schedule "${name}"`)
      await handler({ name, at, id: `due-${name}-${at.getTime()}` })
    },
  }
}

/** Waits until `condition` holds, looking often; fails with what it waited for after `deadlineMs`. */
export async function until(what: string, condition: () => boolean, deadlineMs = 5_000): Promise<void> {
  const end = Date.now() + deadlineMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
