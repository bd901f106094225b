import type { AnyEventDefinition } from "../bus/define-event.js"
import type { EventDraft } from "../bus/event.js"
import type { PublishAck } from "../bus/publisher.js"
import { checkName } from "../bus/subjects.js"
import { MurmurError } from "../errors.js"
import { type Labels, labelProblem } from "../router/labels.js"
import type { Log } from "../telemetry/ports.js"

const SOURCE = Symbol.for("murmur.source")

/** What a source is given while it runs. */
export interface SourceContext {
  /** The source's name, which is the producer of its events. */
  readonly name: string
  /** Aborted when the node stops: leave `run` then. */
  readonly signal: AbortSignal
  readonly log: Log
  /** What the source remembers between runs of the node, kept on the bus. */
  readonly state: SourceState
  /**
   * Publishes one event with `trust: external` and resolves when JetStream has stored it.
   *
   * @throws MurmurError `EMIT_UNDECLARED` when the type is not in `emits`, `EVENT_DATA` when the data does not fit its schema
   */
  publish(draft: EventDraft): Promise<PublishAck>
  /**
   * Calls `onDue` each time the schedule fires, on one node of the mesh only, until `signal` is aborted. The server
   * keeps the time, so nothing is forgotten while no node is up: what was missed then is delivered once.
   */
  cron(schedule: CronSchedule, onDue: (due: CronDue) => Promise<void>): Promise<void>
}

/** A cron expression that the server evaluates. */
export interface CronSchedule {
  /** Unique within the source. */
  readonly name: string
  /** Six fields with seconds first (`0 30 14 * * *`), or `@hourly`, `@daily`, `@every 5m`. */
  readonly expression: string
  /** IANA time zone of the expression; default UTC. */
  readonly timeZone?: string | undefined
}

/** One firing of a schedule. */
export interface CronDue {
  readonly name: string
  /** When it fired, by the server's clock. */
  readonly at: Date
  /** The same for every delivery of this firing: use it as the event's id. */
  readonly id: string
}

/** Small JSON values by key, kept in a bucket of the mesh. */
export interface SourceState {
  get<T>(key: string): Promise<T | undefined>
  put(key: string, value: unknown): Promise<void>
  delete(key: string): Promise<void>
  entries<T>(): AsyncIterable<readonly [key: string, value: T]>
}

/** A webhook: an HTTP endpoint on each node that hosts the source. */
export interface WebhookEndpoint {
  /** Path below the node's address, such as `/hooks/github`. Always POST. */
  readonly path: `/hooks/${string}`
  /** Largest body that is read, in bytes; more is answered 413. */
  readonly bodyBytesMax: number
  /** Answers one request. It gets the raw bytes, so that a signature can be checked over them. */
  handle(request: WebhookRequest, ctx: SourceContext): Promise<WebhookReply>
}

export interface WebhookRequest {
  readonly headers: Headers
  readonly body: Uint8Array
}

export interface WebhookReply {
  readonly status: number
  /** Sent as JSON. */
  readonly body?: unknown
}

/** Options of {@link defineSource}. */
export interface SourceOptions {
  /** The events it may publish. */
  readonly emits: readonly AnyEventDefinition[]
  readonly description?: string
  /** Labels that a node must have to host it, all of them: `{ disk: "shared" }`. Default: any node may. */
  readonly nodeSelector?: Labels | undefined
  /**
   * Runs as long as the node, or until it has nothing more to say. A throw is logged, counted and restarted with
   * growing delays; an abort of `ctx.signal` ends it.
   */
  run?(ctx: SourceContext): Promise<void>
  readonly webhooks?: readonly WebhookEndpoint[]
}

/** Code that turns the outside world into events. */
export interface SourceDefinition extends SourceOptions {
  readonly name: string
}

/**
 * Defines a source. What it publishes carries `trust: external`, and so does all that descends from it.
 *
 * @throws MurmurError `NAME_INVALID` or `SOURCE_OPTION`
 * @example
 * export default defineSource("heartbeat", {
 *   emits: [Beat],
 *   async run(ctx) {
 *     while (!ctx.signal.aborted) {
 *       await ctx.publish(Beat({ at: Date.now() }))
 *       await setTimeout(1_000, undefined, { signal: ctx.signal }).catch(() => {})
 *     }
 *   },
 * })
 */
export function defineSource(name: string, options: SourceOptions): SourceDefinition {
  checkName(name, "source")
  const known = ["emits", "description", "nodeSelector", "run", "webhooks"]
  for (const option of Object.keys(options)) {
    if (!known.includes(option)) {
      throw new MurmurError(`Cannot define source "${name}": unknown option "${option}" (known: ${known.join(", ")})`, {
        code: "SOURCE_OPTION",
      })
    }
  }
  for (const [key, value] of Object.entries(options.nodeSelector ?? {})) {
    const problem = labelProblem(key, value)
    if (problem === undefined) continue
    throw new MurmurError(`Cannot define source "${name}": nodeSelector: ${problem}`, { code: "SOURCE_OPTION" })
  }
  if (options.run === undefined && (options.webhooks ?? []).length === 0) {
    throw new MurmurError(`Cannot define source "${name}": it needs "run" or at least one of "webhooks"`, {
      code: "SOURCE_OPTION",
    })
  }
  return Object.defineProperty({ ...options, name }, SOURCE, { value: true })
}

/** Whether `value` came from {@link defineSource} (also of another loaded copy of murmur). */
export function isSource(value: unknown): value is SourceDefinition {
  return typeof value === "object" && value !== null && SOURCE in value
}
