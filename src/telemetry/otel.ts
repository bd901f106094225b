import { context, propagation, type Tracer, trace } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { W3CTraceContextPropagator } from "@opentelemetry/core"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { quietDiagnostics } from "./diagnostics.js"
import { activeSpanIds, OtelTracing } from "./otel-tracing.js"
import type { Log, Tracing } from "./ports.js"
import type { Redactor } from "./redact.js"
import { redacting } from "./redacting-exporter.js"
import { type ResourceOptions, resourceOf } from "./resource.js"

/**
 * Traces by OTLP/HTTP. Loads the SDK: import it only when traces are on. (Measured: the parts used here load in half of
 * the time that the all-in-one sdk-node takes.) The SDK itself reads sampler, limits, batch sizes, endpoint, headers,
 * certificates and timeouts from the `OTEL_*` variables of the process.
 */

export interface OpenTracing {
  readonly tracing: Tracing
  readonly logFields: () => object
  shutdown(): Promise<void>
}

/** Starts tracing. Also makes this the process's global tracer, unless somebody else's is there already. */
export function startTracing(options: ResourceOptions & { log: Log; redactor: Redactor }): OpenTracing {
  quietDiagnostics(options.log)
  const provider = new BasicTracerProvider({
    resource: resourceOf(options),
    spanProcessors: [new BatchSpanProcessor(redacting(new OTLPTraceExporter(), options.redactor))],
  })
  const release = makeGlobal(provider)
  const tracer: Tracer = provider.getTracer("murmur", options.version)
  return {
    tracing: new OtelTracing(tracer),
    logFields: () => activeSpanIds() ?? {},
    async shutdown() {
      release()
      await provider.shutdown()
    },
  }
}

let contextReady = false
let globalProvider: BasicTracerProvider | undefined

/**
 * Makes a user's own instrumentation find our tracer. The first node of a process wins, as does an SDK that was loaded
 * before us. Context manager and propagator stay for ever: they cost nothing while no span runs, and taking them away
 * would break another node in this process.
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
