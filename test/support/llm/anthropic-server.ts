import { anthropicProtocol } from "./anthropic-protocol.js"
import { FakeServer } from "./fake-server.js"

/** A server that speaks Anthropic's messages and models. The `baseURL` is `server.url`. */
export function startAnthropicServer(options: { readonly port?: number } = {}): Promise<FakeServer> {
  return FakeServer.start(anthropicProtocol, options)
}
