import { ZodError, z } from "zod"
import type { EventDraft } from "../../bus/event.js"
import { isMurmurError } from "../../errors.js"
import { checkKnown } from "../options.js"
import {
  defineSource,
  type SourceContext,
  type SourceDefinition,
  type WebhookReply,
  type WebhookRequest,
} from "../source.js"
import { badRequest, DeliveryDesk, parseBody } from "./delivery.js"
import { CODE_HOST_EVENTS } from "./events.js"
import { readSecrets } from "./secrets.js"

/** Options of {@link github} and {@link gitlab}. */
export interface CodeHostOptions {
  /** Name of the source, which is also the end of its path, `/hooks/<name>`. Default: the provider's. */
  readonly name?: string
  /** Any of them is accepted, so that one can be rotated. Default: the provider's environment variable, read when the source starts, comma-separated. */
  readonly secrets?: readonly string[]
}

/** What a provider does in its own way. */
export interface CodeHost {
  readonly title: string
  readonly name: string
  /** Environment variable of the secrets. */
  readonly variable: string
  readonly bodyBytesMax: number
  /** Whether the sender knows one of the secrets. Must take the same time whatever the request looks like. */
  verify(secrets: readonly string[], request: WebhookRequest): boolean
  /** The provider's word for what the delivery is about. */
  eventType(headers: Headers): string | null
  /** Deliveries that only try the connection. */
  isPing(eventType: string): boolean
  /** @throws ZodError when the payload lacks what its type promises */
  map(eventType: string, payload: unknown): EventDraft[]
  identify(request: WebhookRequest): { id: string; fingerprint: string }
}

const WARN_EVERY_MS = 60_000

/** A source for the webhooks of one code host: verify, map, publish, and only then say 200. */
export function codeHostSource(host: CodeHost, options: CodeHostOptions): SourceDefinition {
  const name = options.name ?? host.name
  checkKnown(name, options, ["name", "secrets"])
  const given = options.secrets === undefined ? undefined : readSecrets(name, options.secrets, host.variable)
  const endpoint = new Endpoint(host, () => given ?? readSecrets(name, undefined, host.variable))
  return defineSource(name, {
    description: `Webhooks of ${host.title}`,
    emits: CODE_HOST_EVENTS,
    run: (ctx) => endpoint.run(ctx),
    webhooks: [
      {
        path: `/hooks/${name}`,
        bodyBytesMax: host.bodyBytesMax,
        handle: (request, ctx) => endpoint.handle(request, ctx),
      },
    ],
  })
}

class Endpoint {
  readonly #host: CodeHost
  readonly #read: () => string[]
  readonly #desk = new DeliveryDesk()
  #secrets: string[] | undefined
  #rejected = 0
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(host: CodeHost, read: () => string[]) {
    this.#host = host
    this.#read = read
  }

  async run(ctx: SourceContext): Promise<void> {
    this.#secrets = this.#read()
    if (this.#secrets.length === 0) ctx.log.warn({ source: ctx.name }, this.#unset())
    await this.#desk.forgetRegularly(ctx)
  }

  async handle(request: WebhookRequest, ctx: SourceContext): Promise<WebhookReply> {
    this.#secrets ??= this.#read()
    if (this.#secrets.length === 0) return { status: 503, body: { error: this.#unset() } }
    if (!this.#host.verify(this.#secrets, request)) return this.#reject(ctx)
    const eventType = this.#host.eventType(request.headers)
    if (eventType === null) return badRequest(`the header that names the event is missing`)
    if (this.#host.isPing(eventType)) return { status: 200, body: { pong: true } }
    try {
      const drafts = this.#host.map(eventType, parseBody(request.headers, request.body))
      return await this.#desk.accept(ctx, { ...this.#host.identify(request), drafts })
    } catch (error) {
      return this.#explain(error, eventType, ctx)
    }
  }

  #reject(ctx: SourceContext): WebhookReply {
    this.#rejected += 1
    // Anybody can send these: one line a minute, with their number.
    if (performance.now() - this.#warnedAt > WARN_EVERY_MS) {
      ctx.log.warn(
        { source: ctx.name, rejected: this.#rejected },
        "deliveries that no configured secret fits; not read",
      )
      this.#warnedAt = performance.now()
      this.#rejected = 0
    }
    return { status: 401, body: { error: "the delivery is not signed with the secret that is configured here" } }
  }

  #explain(error: unknown, eventType: string, ctx: SourceContext): WebhookReply {
    if (isMurmurError(error) && error.code === "WEBHOOK_BODY") return badRequest(error.message)
    if (!(error instanceof ZodError)) throw error
    const issues = z.prettifyError(error)
    ctx.log.warn({ source: ctx.name, eventType, issues }, "a delivery lacks what its type promises; not published")
    return { status: 422, body: { error: `the payload of ${eventType} is not as documented`, issues } }
  }

  #unset(): string {
    const { title, variable } = this.#host
    return `no secret is configured, so nothing from ${title} can be trusted: set ${variable} to the secret of the webhook and start again`
  }
}
