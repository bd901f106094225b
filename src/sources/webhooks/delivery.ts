import { createHash } from "node:crypto"
import type { EventDraft } from "../../bus/event.js"
import { MurmurError } from "../../errors.js"
import { pause } from "../lifetime.js"
import type { SourceContext, WebhookReply } from "../source.js"

const SEEN = "seen."
const REMEMBER_MS = 3 * 24 * 60 * 60 * 1_000
const ENTRIES_MAX = 100_000
const FORGET_EVERY_MS = 60 * 60 * 1_000

/** A delivery whose sender was verified. */
export interface Delivery {
  /** Id of its event; a second event of the same delivery gets `:1`, and so on. */
  readonly id: string
  /** What makes it the same delivery when it comes again, see {@link fingerprint}. */
  readonly fingerprint: string
  readonly drafts: readonly EventDraft[]
}

/** SHA-256 of what identifies a delivery, as a key for the state. */
export function fingerprint(identity: Uint8Array | string): string {
  return createHash("sha256").update(identity).digest("base64url")
}

/**
 * Publishes deliveries once. What was published is remembered for three days, at most 100,000 of them, so that a captured
 * delivery cannot be played again under another name, and a redelivery makes no second event. It is remembered after the
 * ack: a delivery that failed may be sent again.
 */
export class DeliveryDesk {
  readonly #running = new Map<string, Promise<string[]>>()

  /**
   * Answers 200 after the publish was acked, or because that happened before.
   *
   * @throws whatever the publish throws; the sender is to be told 503 and may send it again
   */
  async accept(ctx: SourceContext, delivery: Delivery): Promise<WebhookReply> {
    if (delivery.drafts.length === 0) return { status: 202, body: { ignored: true } }
    const running = this.#running.get(delivery.fingerprint)
    if (running !== undefined) {
      await running
      return REPEATED
    }
    if ((await ctx.state.get(SEEN + delivery.fingerprint)) !== undefined) return REPEATED
    return { status: 200, body: { published: await this.#publishOnce(ctx, delivery) } }
  }

  /** Forgets what is too old, each hour, until the source stops. */
  async forgetRegularly(ctx: SourceContext): Promise<void> {
    while (!ctx.signal.aborted) {
      await forget(ctx)
      await pause(FORGET_EVERY_MS, ctx.signal)
    }
  }

  #publishOnce(ctx: SourceContext, delivery: Delivery): Promise<string[]> {
    // Asked again: while the state was read, the same delivery may have begun.
    const begun = this.#running.get(delivery.fingerprint)
    if (begun !== undefined) return begun
    const work = publish(ctx, delivery).finally(() => this.#running.delete(delivery.fingerprint))
    this.#running.set(delivery.fingerprint, work)
    return work
  }
}

const REPEATED: WebhookReply = { status: 200, body: { duplicate: true } }

async function publish(ctx: SourceContext, { id, fingerprint: print, drafts }: Delivery): Promise<string[]> {
  const ids: string[] = []
  for (const [index, draft] of drafts.entries()) {
    const ack = await ctx.publish({ ...draft, id: index === 0 ? id : `${id}:${index}` })
    ids.push(ack.id)
  }
  try {
    await ctx.state.put(SEEN + print, { id, at: Date.now() })
  } catch (error) {
    // The event is stored and its id will be the same: not worth a redelivery.
    ctx.log.warn({ source: ctx.name, id, err: error }, "cannot remember a delivery; a repeat would be published again")
  }
  return ids
}

async function forget(ctx: SourceContext): Promise<void> {
  const kept: { key: string; at: number }[] = []
  const oldest = Date.now() - REMEMBER_MS
  for await (const [key, value] of ctx.state.entries<{ at: number }>()) {
    if (!key.startsWith(SEEN)) continue
    if (value.at < oldest) await ctx.state.delete(key)
    else kept.push({ key, at: value.at })
  }
  kept.sort((a, b) => b.at - a.at)
  for (const { key } of kept.slice(ENTRIES_MAX)) await ctx.state.delete(key)
}

/** A request that cannot be read: answered 400. */
export function badRequest(problem: string): WebhookReply {
  return { status: 400, body: { error: problem } }
}

/**
 * The body of a delivery as JSON: sent as such, or as GitHub's form with one field `payload`.
 *
 * @throws MurmurError `WEBHOOK_BODY` when it is neither
 */
export function parseBody(headers: Headers, body: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body)
    const isForm = headers.get("content-type")?.startsWith("application/x-www-form-urlencoded") ?? false
    return JSON.parse(isForm ? (new URLSearchParams(text).get("payload") ?? "") : text)
  } catch (error) {
    throw new MurmurError(
      "Cannot read the delivery: the body must be JSON in UTF-8, or a form with the JSON in its field payload",
      { code: "WEBHOOK_BODY", cause: error },
    )
  }
}
