import type { EventDraft, TraceContext } from "../bus/event.js"
import type { PublishAck } from "../bus/publisher.js"
import type { SourceContext, WebhookEndpoint } from "../sources/source.js"
import type { Telemetry } from "../telemetry/ports.js"

/** What the HTTP side needs of a node. */
export interface HttpNode {
  /** Whether the node can do its work now, and why not. */
  readiness(): Readiness
  /** Prometheus text. */
  metricsText(): Promise<string>
  /**
   * Publishes one event; resolves when JetStream has stored it, rejects when it was refused or `timeoutMs` is over.
   *
   * @throws MurmurError `EVENT_*` for what the sender has to mend, `BUS_UNAVAILABLE`, `STREAM_FULL` for what passes
   */
  publish(draft: EventDraft, options: IntakeOptions): Promise<PublishAck>
  /** The endpoints of the node's sources. Read at each request, so they may change while the server runs. */
  readonly webhooks: readonly HostedWebhook[]
  readonly telemetry: Telemetry
}

export interface Readiness {
  readonly ready: boolean
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[]
}

export interface IntakeOptions {
  readonly producer: "http"
  readonly trust: "external"
  /** The caller's span, or ours below it. */
  readonly trace?: TraceContext
  readonly timeoutMs: number
}

/** A webhook of a source, with the context that its handler is given. */
export interface HostedWebhook {
  readonly endpoint: WebhookEndpoint
  readonly ctx: SourceContext
}
