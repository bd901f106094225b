import type { TraceContext } from "../bus/event.js"

export type { TraceContext } from "../bus/event.js"

/**
 * What the runtime needs of telemetry, and no more. The defaults do nothing, so that a mesh without telemetry
 * neither loads OpenTelemetry nor pays for it; `setup.ts` installs the real ones.
 */

/** A span that is open. */
export interface Span {
  /** What travels with events that this span sends: its own context, or the parent's when tracing is off. */
  readonly context: TraceContext | undefined
  set(attributes: Attributes): void
  /** Names another cause: of a batch, of a join. The newest 128 are kept. */
  link(to: TraceContext): void
  /** Marks the span as failed. It still has to be ended. */
  fail(error: Error): void
  end(): void
  /** Runs `work` with the span as the active one, so that a user's own instrumentation nests below it. */
  run<T>(work: () => T): T
}

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/

/** Whether `text` is a W3C `traceparent` that may be continued; anything else starts a new trace. */
export function isTraceparent(text: string): boolean {
  return TRACEPARENT.test(text) && (text.length === 55 || !text.startsWith("00"))
}

/** What kind of work a span covers; decides its OpenTelemetry span kind. */
export type SpanKind = "producer" | "consumer" | "client" | "server" | "internal"

export interface SpanOptions {
  kind: SpanKind
  attributes?: Attributes
  /** The remote or local parent. Without it the active span is the parent, or the span is a root. */
  parent?: TraceContext | undefined
  /** For joins and batches: the other causes. Of more than 128 the newest are kept. */
  links?: readonly TraceContext[]
}

/** Starts spans. Names hold no ids: `process ci-triage`, `send market.tick`. */
export interface Tracing {
  /** False when nothing records: callers may skip building attributes. */
  readonly enabled: boolean
  start(name: string, options: SpanOptions): Span
}

/** Counts and measures. Labels are few and bounded: agent, type, reason, outcome; never an id or a key. */
export interface Metrics {
  readonly enabled: boolean
  count(name: CounterName, value: number, labels?: Attributes): void
  /** Durations in seconds; `gen_ai.client.token.usage`, the one that is none, in tokens. */
  duration(name: HistogramName, seconds: number, labels?: Attributes): void
}

export type CounterName =
  | "murmur.events.published"
  | "murmur.events.received"
  | "murmur.step.retries"
  | "murmur.step.suspensions"
  | "murmur.dead_letters"
  | "murmur.agent.quarantines"
  | "murmur.guard.trips"
  | "murmur.guard.warnings"
  | "murmur.tool.approvals"
  | "murmur.window.late"
  | "murmur.run.untold"
  | "murmur.source.errors"
  | "murmur.http.rejected"
  | "murmur.rights.denied"
  | "murmur.llm.cost"
  | "murmur.llm.retries"
  | "murmur.telemetry.dropped"

export type HistogramName =
  | "murmur.step.duration"
  | "murmur.tool.duration"
  | "murmur.event.age"
  | "http.server.request.duration"
  | "gen_ai.client.operation.duration"
  | "gen_ai.client.token.usage"
  | "gen_ai.server.time_to_first_token"

/** A gauge: the value now, read when somebody collects. Lag, sessions, steps in flight. */
export type GaugeName = `murmur.${string}`

/** One value of a gauge. */
export interface Observation {
  readonly value: number
  readonly labels?: Attributes
}

/**
 * Registers a gauge. `read` is called at each collection (a scrape, an export), so it must be quick and without effect;
 * one that throws leaves out its gauge for that collection and nothing else.
 *
 * @returns ends the registration
 */
export type Observe = (name: GaugeName, description: string, read: () => Iterable<Observation>) => () => void

/** Structured log, pino's call order: fields first, then the message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** All telemetry ports of a node, handed down from its composition root. */
export interface Telemetry {
  readonly log: Log
  readonly tracing: Tracing
  readonly metrics: Metrics
}

const nothing = (): void => {}

/** A log that says nothing. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** Tracing switched off: hands the parent's context on, so a trace that began elsewhere is not cut. */
export const noTracing: Tracing = {
  enabled: false,
  start: (_name, options) => passThrough(options.parent),
}

function passThrough(context: TraceContext | undefined): Span {
  return { context, set: nothing, link: nothing, fail: nothing, end: nothing, run: (work) => work() }
}

export const noMetrics: Metrics = { enabled: false, count: nothing, duration: nothing }

/** Telemetry switched off. */
export const noTelemetry: Telemetry = { log: silentLog, tracing: noTracing, metrics: noMetrics }
