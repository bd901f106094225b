import { FakeServer } from "./fake-server.js"
import { openAiProtocol } from "./openai-protocol.js"

/**
 * A server that speaks OpenAI's chat completions, embeddings and models. The `baseURL` is `${server.url}/v1`.
 *
 * @example
 * const server = await startOpenAiServer()
 * server.reply({ fault: { status: 429, headers: { "retry-after": "1" } } }, { text: "Hello" })
 * server.reply((seen) => (seen.messages.at(-1)?.role === "tool" ? { text: "Done" } : { toolCalls: [...] }))
 */
export function startOpenAiServer(options: { readonly port?: number } = {}): Promise<FakeServer> {
  return FakeServer.start(openAiProtocol, options)
}
