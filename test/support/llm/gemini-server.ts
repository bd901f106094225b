import { FakeServer } from "./fake-server.js"
import { geminiProtocol } from "./gemini-protocol.js"

/** A server that speaks the Gemini API. The `baseURL` is `server.url`. */
export function startGeminiServer(options: { readonly port?: number } = {}): Promise<FakeServer> {
  return FakeServer.start(geminiProtocol, options)
}
