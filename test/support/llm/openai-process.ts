// The OpenAI server as a process of its own, which outlives whoever asks it: for tests that kill. Its first line says where
// it is; SIGTERM ends it. Its only argument is a module whose default export is the handler; without one the model asks for
// the first tool that it is offered, and repeats what it was told afterwards.
import { pathToFileURL } from "node:url"
import type { FakeHandler } from "./fake-protocol.js"
import { startOpenAiServer } from "./openai-server.js"

const otherwise: FakeHandler = (seen) => {
  const last = seen.messages.at(-1)
  const [tool] = seen.tools
  if (last?.role === "tool" || tool === undefined) return { text: `You said: ${last?.text ?? ""}` }
  return { toolCalls: [{ name: tool.name, arguments: {} }] }
}

const [module] = process.argv.slice(2)
const loaded =
  module === undefined ? undefined : ((await import(pathToFileURL(module).href)) as { default: FakeHandler })
const server = await startOpenAiServer()
server.reply(loaded?.default ?? otherwise)
process.once("SIGTERM", () => void server.close())
process.stdout.write(`${JSON.stringify({ url: server.url })}\n`)
