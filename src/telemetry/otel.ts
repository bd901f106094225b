import { context, propagation, TraceFlags, type Tracer, trace } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { W3CTraceContextPropagator } from "@opentelemetry/core"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base"
import { spanLines } from "./console-exporters.js"
import { Delivery, WaitingRoom } from "./delivery.js"
import type { ExportOptions, OpenExport } from "./export-options.js"
import { activeSpanIds, OtelTracing } from "./otel-tracing.js"
import type { Tracing } from "./ports.js"
import { redacting } from "./redacting-exporter.js"
import { resourceOf } from "./resource.js"
import { batchOptions } from "./variables.js"

/**
 * Traces by OTLP/HTTP. Loads the SDK: import it only when traces are on. (Measured: the parts used here load in half of
 * the time that the all-in-one sdk-node takes.) The SDK itself reads sampler, limits, endpoint, headers, certificates and
 * timeouts from the `OTEL_*` variables of the process.
 */

export interface OpenTracing extends OpenExport {
  readonly tracing: Tracing
  readonly logFields: () => object
}

/** Starts tracing. Also makes this the process's global tracer, unless somebody else's is there already. */
export function startTracing(options: ExportOptions): OpenTracing {
  const { redactor, to, version } = options
  const spanProcessors: SpanProcessor[] = []
  if (to.includes("otlp")) spanProcessors.push(boundedBatches(options))
  if (to.includes("console")) spanProcessors.push(new SimpleSpanProcessor(redacting(spanLines(options.sink), redactor)))
  const provider = new BasicTracerProvider({ resource: resourceOf(options), spanProcessors })
  const release = makeGlobal(provider)
  const tracer: Tracer = provider.getTracer("murmur", version)
  return {
    tracing: new OtelTracing(tracer),
    logFields: () => activeSpanIds() ?? {},
    async shutdown() {
      release()
      await provider.shutdown()
    },
  }
}

/** Batches of spans behind a bounded queue: a collector that is slow or away costs spans, which are counted. */
function boundedBatches({ env, redactor, log, metrics }: ExportOptions): SpanProcessor {
  const delivery = new Delivery("traces", { log, metrics })
  const batches = batchOptions(env, "BSP")
  const room = new WaitingRoom(batches.maxQueueSize, delivery)
  const otlp = redacting(new OTLPTraceExporter(), redactor)
  const exporter: SpanExporter = {
    export: (spans, done) => {
      room.leave(spans.length)
      otlp.export(spans, delivery.ending(spans.length, done))
    },
    shutdown: () => otlp.shutdown(),
    forceFlush: () => otlp.forceFlush?.() ?? Promise.resolve(),
  }
  const inner = new BatchSpanProcessor(exporter, { ...batches })
  return {
    onStart: () => {},
    onEnd: (span: ReadableSpan) => {
      const sampled = (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0
      if (sampled && room.enter()) inner.onEnd(span)
    },
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  }
}

let contextReady = false
let globalProvider: BasicTracerProvider | undefined

/**
 * Makes a user's own instrumentation find our tracer. The first node of a process wins, as does an SDK that was loaded
 * before us. Context manager and propagator stay for ever: they cost nothing while no span runs, and taking them away
 * would break another node in this process. The propagator knows trace context only: baggage travels with events, and
 * with no request that instrumentation sees.
 */
function makeGlobal(provider: BasicTracerProvider): () => void {
  if (!contextReady) {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    contextReady = true
  }
  if (globalProvider === undefined && trace.setGlobalTracerProvider(provider)) globalProvider = provider
  return () => {
    if (globalProvider !== provider) return
    trace.disable()
    globalProvider = undefined
  }
}
