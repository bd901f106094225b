import { FakeServer } from "./fake-server.js"
import { ollamaProtocol } from "./ollama-protocol.js"

/** A server that speaks Ollama's API. The `host` is `server.url`. */
export function startOllamaServer(options: { readonly port?: number } = {}): Promise<FakeServer> {
  return FakeServer.start(ollamaProtocol, options)
}
