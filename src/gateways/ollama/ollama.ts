import type { Ollama } from "ollama"
import { z } from "zod"
import { isMurmurError } from "../../errors.js"
import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "../completion.js"
import { providerError, replyError } from "../errors.js"
import type { Gateway, GatewayCall, PullProgress } from "../gateway.js"
import { askError } from "../http/ask-error.js"
import { tokensOf } from "../http/estimated-usage.js"
import { readReply } from "../http/read-reply.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, hiding, secretHeaders } from "../http/secrets.js"
import { fetchImages } from "../messages/fetch-image.js"
import { ollamaClient } from "./client.js"
import { Answer, type Chat, toChat } from "./convert.js"
import { offeredModels } from "./offered-models.js"
import { type OllamaOptions, settle } from "./options.js"
import { Pulled } from "./pulled.js"
import { isRefusedConnection, readRefusal } from "./refusal.js"

/** Of a pull: a large layer is checked for minutes without a word. */
const PULL_IDLE_MS = 600_000

/**
 * Models on a machine of one's own, served by Ollama. The library is loaded by the first call.
 *
 * @throws TerminalError `LLM_OPTION`
 * @example
 * ollama() // OLLAMA_HOST, else this machine
 * ollama({ host: "gpu-1:11434", provider: "gpu", keepAlive: "30m" })
 */
export function ollama(options: OllamaOptions = {}): Gateway {
  const { provider, url, headers, keepAlive, idleTimeoutMs, imagesFrom, secrets } = settle(options, process.env)
  const open = ollamaClient({ provider, url, headers, idleTimeoutMs })
  const hide = hiding([...secrets, ...secretHeaders(headers)])

  function ourError(thrown: unknown, model: string, signal: AbortSignal): Error {
    if (!signal.aborted && !isMurmurError(thrown) && isRefusedConnection(thrown)) {
      const message = `nobody answers at ${url}; start Ollama there ("ollama serve"), or say where it is (host, OLLAMA_HOST)`
      return providerError({ provider, model, status: undefined, message, cause: thrown })
    }
    return askError(thrown, { provider, model, signal, hide }, (error) => readRefusal(error, model))
  }

  async function ask<T>(model: string, { signal }: GatewayCall, work: Work<T>): Promise<T> {
    const request = requestSignal(signal)
    try {
      return await work(await open(request.signal), request.signal)
    } catch (error) {
      throw ourError(error, model, signal)
    } finally {
      request.end()
    }
  }

  async function chatOf(request: CompletionRequest | ObjectRequest, signal: AbortSignal): Promise<Chat> {
    return toChat(request, keepAlive, await fetchImages(request.messages, { from: imagesFrom, signal }))
  }

  function complete(request: CompletionRequest | ObjectRequest, call: GatewayCall): Promise<Completion> {
    return ask(request.model, call, async (client, signal) => {
      const answer = new Answer(request)
      answer.add(await client.chat({ ...(await chatOf(request, signal)), stream: false }))
      return answer.completion()
    })
  }

  async function* stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const asked = requestSignal(call.signal)
    try {
      const client = await open(asked.signal, { lines: true })
      const answer = new Answer(request)
      for await (const piece of await client.chat({ ...(await chatOf(request, asked.signal)), stream: true })) {
        const { text, reasoning, calls } = answer.add(piece)
        if (reasoning !== "") yield { type: "reasoning", text: reasoning }
        if (text !== "") yield { type: "text", text }
        for (const each of calls) yield { type: "tool-call", call: each }
      }
      yield { type: "end", completion: answer.completion() }
    } catch (error) {
      throw ourError(error, request.model, call.signal)
    } finally {
      asked.end()
    }
  }

  /** Bytes are of all layers that have been named so far: their sum grows at the beginning. */
  async function* pull(model: string, call: GatewayCall): AsyncGenerator<PullProgress> {
    const asked = requestSignal(call.signal)
    try {
      const client = await open(asked.signal, { lines: true, idleMs: PULL_IDLE_MS })
      const pulled = new Pulled()
      for await (const line of await client.pull({ model, stream: true })) yield pulled.add(line)
    } catch (error) {
      throw ourError(error, model, call.signal)
    } finally {
      asked.end()
    }
  }

  return {
    provider,
    account: accountOf(JSON.stringify([headers, ...secrets]), url),
    complete,
    completeObject: complete,
    stream,
    embed: ({ model, texts, dimensions }: EmbedRequest, call): Promise<Embeddings> =>
      ask(model, call, async (client) => {
        const asked = {
          ...{ model, input: [...texts], truncate: false },
          ...(dimensions !== undefined && { dimensions }),
          ...(keepAlive !== undefined && { keep_alive: keepAlive }),
        }
        const reply = readReply(EmbedReply, await client.embed(asked))
        if (reply.embeddings.length !== texts.length) {
          throw replyError(provider, model, `${texts.length} texts, and ${reply.embeddings.length} vectors`)
        }
        const inputTokens = reply.prompt_eval_count ?? tokensOf(texts.join("").length)
        return { vectors: reply.embeddings, usage: { inputTokens, outputTokens: 0 }, model: reply.model ?? model }
      }),
    models: (call) => ask("models", call, (client) => offeredModels(client)),
    pull,
  }
}

type Work<T> = (client: Ollama, signal: AbortSignal) => Promise<T>

const EmbedReply = z.object({
  model: z.string().optional(),
  embeddings: z.array(z.array(z.number())),
  prompt_eval_count: z.int().min(0).optional(),
})
