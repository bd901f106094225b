import type { Completion, CompletionRequest, StreamPart } from "../../src/gateways/completion.js"
import type { Gateway, GatewayCall } from "../../src/gateways/gateway.js"
import { user } from "../../src/gateways/messages/constructors.js"
import { MODEL } from "./suite-seam.js"

/** A call that somebody waits for. */
export const waiting = (): GatewayCall => ({ signal: new AbortController().signal })

/** A request that says hello, and what a test adds to it. */
export function request(more: Partial<CompletionRequest> = {}): CompletionRequest {
  return { model: MODEL, messages: [user("Hello")], options: {}, ...more }
}

export function complete(gateway: Gateway, more: Partial<CompletionRequest> = {}): Promise<Completion> {
  return gateway.complete(request(more), waiting())
}

/** All pieces of a stream, and the whole at its end. */
export async function stream(
  gateway: Gateway,
  more: Partial<CompletionRequest> = {},
  call: GatewayCall = waiting(),
): Promise<{ readonly parts: readonly StreamPart[]; readonly completion: Completion }> {
  const parts: StreamPart[] = []
  for await (const part of gateway.stream(request(more), call)) parts.push(part)
  const last = parts.at(-1)
  if (last?.type !== "end") throw new Error(`The stream ended with ${JSON.stringify(last)}`)
  return { parts, completion: last.completion }
}

/** What was thrown; a promise that resolves fails the test. */
export async function thrown(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    (value) => new Error(`Nothing was thrown; it came to ${JSON.stringify(value)?.slice(0, 500)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof Error)) throw new Error(`Something that is not an Error was thrown: ${String(error)}`)
  return error
}
