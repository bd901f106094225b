import type { HttpBindings } from "@hono/node-server"
import { ensureError } from "../errors.js"
import type { SourceContext, WebhookReply } from "../sources/source.js"
import { callersBaggage, withBaggage } from "./baggage.js"
import { readBody } from "./body.js"
import { within } from "./deadline.js"
import type { HostedWebhook, HttpNode } from "./node.js"
import { HttpProblem } from "./problem.js"
import type { TokenBucket } from "./rate-limit.js"

/** What `/hooks/*` is given. */
export interface HooksOptions {
  readonly bucket: TokenBucket
  readonly answerTimeoutMs: number
}

/**
 * Hands requests to the webhooks of the node's sources: raw bytes, so that they can check a signature. A handler that
 * cannot publish is answered by 503, so that the sender tries again; one that throws by 500.
 */
export function hooks(node: HttpNode, { bucket, answerTimeoutMs }: HooksOptions) {
  return async (request: Request, { incoming }: HttpBindings): Promise<Response> => {
    const hook = findHook(node, new URL(request.url).pathname)
    if (hook === undefined) throw new HttpProblem(404, "NOT_FOUND", "No source of this node has such a webhook")
    if (request.method !== "POST") throw methodNotAllowed("POST")
    bucket.take()
    const body = await readBody(incoming, hook.endpoint.bodyBytesMax)
    const handling = Promise.resolve(hook.endpoint.handle({ headers: request.headers, body }, contextOf(hook, request)))
    const reply = await within(
      answerTimeoutMs,
      handling.catch((thrown: unknown) => {
        throw ensureError(thrown)
      }),
    )
    return responseOf(reply, hook)
  }
}

/** What the request's baggage goes along with is all that its handler publishes. */
function contextOf({ ctx }: HostedWebhook, { headers }: Request): SourceContext {
  const baggage = callersBaggage(headers)
  return baggage === undefined ? ctx : { ...ctx, publish: (draft) => ctx.publish(withBaggage(draft, baggage)) }
}

/** The webhook at a path. */
export function findHook(node: HttpNode, path: string): HostedWebhook | undefined {
  return node.webhooks.find(({ endpoint }) => endpoint.path === path)
}

/** 405 with the method that would do. */
export function methodNotAllowed(allow: string): HttpProblem {
  return new HttpProblem(405, "METHOD_NOT_ALLOWED", `This takes ${allow} only`, { headers: { allow } })
}

function responseOf({ status, body }: WebhookReply, { endpoint }: HostedWebhook): Response {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new Error(`The webhook ${endpoint.path} answered with status ${status}; it must be 200 to 599`)
  }
  const bodyless = body === undefined || status === 204 || status === 205 || status === 304
  return bodyless ? new Response(null, { status }) : Response.json(body, { status })
}
