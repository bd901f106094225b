import type { Broker, BrokerCall, BrokerCompletion, BrokerRequest } from "../../../src/gateways/broker/broker.js"
import { user } from "../../../src/gateways/messages/constructors.js"

/** What a test asks, if it says no more than the text. */
export type AskMore = Partial<BrokerRequest> & { readonly call?: Partial<BrokerCall> }

/** Asks a broker for a text. */
export function ask(broker: Broker, text = "Hello", { call, ...request }: AskMore = {}): Promise<BrokerCompletion> {
  return broker.complete(
    { models: ["fake/m"], messages: [user(text)], options: {}, ...request },
    { signal: new AbortController().signal, ...call },
  )
}

/** What a promise came to be rejected with. Handles the rejection at once, so that it may be looked at later. */
export async function failure<E = { code: string; details?: Record<string, unknown>; retryAfterMs?: number }>(
  promise: Promise<unknown>,
): Promise<Error & E> {
  try {
    await promise
  } catch (error) {
    return error as Error & E
  }
  throw new Error("It was to fail, and did not")
}
