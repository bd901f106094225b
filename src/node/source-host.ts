import { setTimeout as delay } from "node:timers/promises"
import { EmitGate } from "../agents/context.js"
import type { Bucket } from "../bus/bucket.js"
import type { Bus } from "../bus/bus.js"
import type { EventDraft } from "../bus/event.js"
import type { PublishAck } from "../bus/publisher.js"
import { ensureError } from "../errors.js"
import type { CronDue, SourceContext, SourceDefinition, SourceState } from "../sources/source.js"
import type { Log, Telemetry } from "../telemetry/ports.js"

const RESTART_MS_MAX = 30_000

/** A source on this node: its context, and its `run` under supervision. */
export class SourceHost {
  readonly ctx: SourceContext
  readonly #stopping = new AbortController()
  readonly #log: Log
  #running: Promise<void> | undefined
  #state: "running" | "restarting" | "done" = "done"

  constructor(
    readonly source: SourceDefinition,
    private readonly bus: Bus,
    private readonly telemetry: Telemetry,
    state: Bucket,
  ) {
    this.#log = sourceLog(telemetry.log, source.name)
    const gate = new EmitGate(source.name, source.emits)
    this.ctx = {
      name: source.name,
      signal: this.#stopping.signal,
      log: this.#log,
      state: bucketState(state, source.name),
      publish: (draft) => this.#publish(gate, draft),
      cron: this.#cron(this.#stopping.signal),
    }
  }

  get state(): "running" | "restarting" | "done" {
    return this.#state
  }

  start(): void {
    if (this.source.run === undefined || this.#running !== undefined) return
    this.#running = this.#supervise()
  }

  /** Aborts the source and waits for it, at most `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort()
    await Promise.race([this.#running, delay(graceMs, undefined, { ref: false })])
  }

  async #supervise(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      const began = Date.now()
      const ended = new AbortController()
      const signal = AbortSignal.any([this.#stopping.signal, ended.signal])
      this.#state = "running"
      try {
        await this.source.run?.({ ...this.ctx, signal, cron: this.#cron(signal) })
        this.#state = "done"
        return
      } catch (thrown) {
        ended.abort() // what this run has left running must not live on beside the next
        if (this.#stopping.signal.aborted) return
        failures = Date.now() - began > RESTART_MS_MAX ? 1 : failures + 1
        const delayMs = Math.min(RESTART_MS_MAX, 250 * 2 ** Math.min(failures, 10))
        this.#state = "restarting"
        this.telemetry.metrics.count("murmur.source.errors", 1, { source: this.source.name })
        this.#log.error({ error: ensureError(thrown), delayMs }, "a source failed; starting it again")
        await delay(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
      }
    }
  }

  async #publish(gate: EmitGate, draft: EventDraft): Promise<PublishAck> {
    const checked = gate.check(draft)
    const { tracing, metrics } = this.telemetry
    const span = tracing.start(`send ${checked.type}`, {
      kind: "producer",
      ...(tracing.enabled && {
        attributes: {
          "messaging.system": "nats",
          "messaging.operation.type": "send",
          "murmur.source": this.source.name,
          "murmur.event.key": checked.key,
        },
      }),
    })
    try {
      const options = { producer: this.source.name, trust: "external" as const, trace: span.context }
      const ack = await this.bus.publish(checked, options)
      if (tracing.enabled) span.set({ "messaging.message.id": ack.id })
      metrics.count("murmur.events.published", 1, { producer: this.source.name, type: checked.type })
      return ack
    } catch (error) {
      span.fail(ensureError(error))
      throw error
    } finally {
      span.end()
    }
  }

  /** Schedules of one run. One consumer serves all of them. */
  #cron(signal: AbortSignal): SourceContext["cron"] {
    const handlers = new Map<string, (due: CronDue) => Promise<void>>()
    let consuming: Promise<void> | undefined
    return async (schedule, onDue) => {
      handlers.set(schedule.name, onDue)
      await this.bus.schedules.set({ owner: this.source.name, ...schedule })
      const onAnyDue = async (due: CronDue): Promise<void> => handlers.get(due.name)?.(due)
      consuming ??= this.bus.schedules.consume(this.source.name, onAnyDue, signal)
      await consuming
    }
  }
}

function sourceLog(log: Log, source: string): Log {
  const bind = (level: keyof Log) => (fields: object, message: string) => log[level]({ source, ...fields }, message)
  return { debug: bind("debug"), info: bind("info"), warn: bind("warn"), error: bind("error") }
}

/** The part of the sources' bucket that belongs to one source. */
function bucketState(bucket: Bucket, source: string): SourceState {
  const keyOf = (key: string): string => `${source}.${encodeStateKey(key)}`
  return {
    get: async <T>(key: string) => (await bucket.get(keyOf(key)))?.value as T | undefined,
    put: async (key, value) => {
      await bucket.put(keyOf(key), value)
    },
    delete: (key) => bucket.delete(keyOf(key)),
    async *entries<T>() {
      for await (const { key, value } of bucket.entries(`${source}.>`)) {
        yield [decodeStateKey(key.slice(source.length + 1)), value as T] as const
      }
    },
  }
}

/** Bucket keys take few characters: the others are written as `=` and two hexadecimal digits. */
function encodeStateKey(key: string): string {
  const escaped = encodeURIComponent(key).replace(
    /[!'()*.~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return escaped === "" ? "=" : escaped.replaceAll("%", "=")
}

function decodeStateKey(key: string): string {
  return key === "=" ? "" : decodeURIComponent(key.replaceAll("=", "%"))
}
