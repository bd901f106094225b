import type { EventDraft } from "../bus/event.js"
import type { PublishAck, PublishOptions } from "../bus/publisher.js"
import { ensureError } from "../errors.js"
import { noTracing, type Tracing } from "../telemetry/ports.js"

/** Traces of a command; when none are configured nothing is loaded. */
export interface CommandTracing {
  readonly tracing: Tracing
  /** Sends what is left. */
  end(): Promise<void>
}

/** Starts tracing when the `OTEL_*` variables ask for it. */
export async function startCommandTracing(mesh: string): Promise<CommandTracing> {
  const off = { tracing: noTracing, end: async () => {} }
  if (!Object.keys(process.env).some((name) => name.startsWith("OTEL_"))) return off
  const { signalsFromEnv } = await import("../telemetry/signals.js")
  if (signalsFromEnv(process.env).traces.length === 0) return off
  const [{ startTelemetry }, { VERSION }] = await Promise.all([
    import("../telemetry/setup.js"),
    import("../node/version.js"),
  ])
  const running = await startTelemetry({
    serviceName: "murmur-cli",
    mesh,
    nodeId: "cli",
    version: VERSION,
    env: { ...process.env, OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    prometheus: false,
    logLevel: "warn",
  })
  return { tracing: running.telemetry.tracing, end: () => running.shutdown() }
}

/** A publish with a span `send <type>` around it: the root of the event's trace. */
export async function tracedPublish(
  tracing: Tracing,
  draft: EventDraft,
  publish: (draft: EventDraft, options: Pick<PublishOptions, "trace">) => Promise<PublishAck>,
): Promise<PublishAck> {
  const span = tracing.start(`send ${draft.type}`, {
    kind: "producer",
    ...(tracing.enabled && {
      attributes: {
        "messaging.system": "nats",
        "messaging.operation.type": "send",
        "messaging.message.id": draft.id,
        "murmur.event.type": draft.type,
        "murmur.event.key": draft.key,
      },
    }),
  })
  try {
    return await publish(draft, { trace: span.context })
  } catch (error) {
    span.fail(ensureError(error))
    throw error
  } finally {
    span.end()
  }
}
