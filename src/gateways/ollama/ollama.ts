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
import type { Gateway, GatewayCall, OfferedModel, PullProgress } from "../gateway.js"
import { askError } from "../http/ask-error.js"
import { tokensOf } from "../http/estimated-usage.js"
import { checkOptions } from "../http/gateway-options.js"
import { readReply } from "../http/read-reply.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, type Hide, hiding, secretHeaders } from "../http/secrets.js"
import { fetchImages, type ImagesFrom } from "../messages/fetch-image.js"
import { ollamaAddress } from "./address.js"
import { type OpenClient, ollamaClient } from "./client.js"
import { Answer, type Chat, toChat } from "./convert.js"
import { offeredModels } from "./offered-models.js"
import { OllamaOptions } from "./options.js"
import { Pulled } from "./pulled.js"
import { isRefusedConnection, readRefusal } from "./refusal.js"

const HOST = "http://127.0.0.1:11434"
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
  return new OllamaGateway(checkOptions("ollama", OllamaOptions, options))
}

const EmbedReply = z.object({
  model: z.string().optional(),
  embeddings: z.array(z.array(z.number())),
  prompt_eval_count: z.int().min(0).optional(),
})

class OllamaGateway implements Gateway {
  readonly provider: string
  readonly account: string
  readonly #url: string
  readonly #client: OpenClient
  readonly #keepAlive: string | number | undefined
  readonly #imagesFrom: ImagesFrom
  readonly #hide: Hide

  constructor({ host, keepAlive, provider = "ollama", idleTimeoutMs, imagesFrom = "public", ...given }: OllamaOptions) {
    const { url, authorization, secrets } = ollamaAddress(host ?? (process.env.OLLAMA_HOST || HOST))
    const headers = { ...(authorization !== undefined && { authorization }), ...given.headers }
    // Of Ollama's own servers the library takes the key from the environment.
    const key = process.env.OLLAMA_API_KEY
    this.provider = provider
    this.account = accountOf(JSON.stringify([headers, key]), url)
    this.#url = url
    this.#client = ollamaClient({ provider, url, headers, idleTimeoutMs })
    this.#keepAlive = keepAlive
    this.#imagesFrom = imagesFrom
    this.#hide = hiding([key, ...secrets, ...secretHeaders(headers)])
  }

  complete(request: CompletionRequest, call: GatewayCall): Promise<Completion> {
    return this.#ask(request.model, call, async (client, signal) => {
      const answer = new Answer(request)
      answer.add(await client.chat({ ...(await this.#chat(request, signal)), stream: false }))
      return answer.completion()
    })
  }

  completeObject(request: ObjectRequest, call: GatewayCall): Promise<Completion> {
    return this.complete(request, call)
  }

  async *stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const asked = requestSignal(call.signal)
    try {
      const client = await this.#client(asked.signal, { lines: true })
      const answer = new Answer(request)
      for await (const piece of await client.chat({ ...(await this.#chat(request, asked.signal)), stream: true })) {
        const { text, reasoning, calls } = answer.add(piece)
        if (reasoning !== "") yield { type: "reasoning", text: reasoning }
        if (text !== "") yield { type: "text", text }
        for (const each of calls) yield { type: "tool-call", call: each }
      }
      yield { type: "end", completion: answer.completion() }
    } catch (error) {
      throw this.#error(error, request.model, call.signal)
    } finally {
      asked.end()
    }
  }

  embed({ model, texts, dimensions }: EmbedRequest, call: GatewayCall): Promise<Embeddings> {
    return this.#ask(model, call, async (client) => {
      const asked = {
        ...{ model, input: [...texts], truncate: false },
        ...(dimensions !== undefined && { dimensions }),
        ...(this.#keepAlive !== undefined && { keep_alive: this.#keepAlive }),
      }
      const reply = readReply(EmbedReply, await client.embed(asked))
      if (reply.embeddings.length !== texts.length) {
        throw replyError(this.provider, model, `${texts.length} texts, and ${reply.embeddings.length} vectors`)
      }
      const inputTokens = reply.prompt_eval_count ?? tokensOf(texts.join("").length)
      return { vectors: reply.embeddings, usage: { inputTokens, outputTokens: 0 }, model: reply.model ?? model }
    })
  }

  models(call: GatewayCall): Promise<readonly OfferedModel[]> {
    return this.#ask("models", call, (client) => offeredModels(client))
  }

  /** Bytes are of all layers that have been named so far: their sum grows at the beginning. */
  async *pull(model: string, call: GatewayCall): AsyncGenerator<PullProgress> {
    const asked = requestSignal(call.signal)
    try {
      const client = await this.#client(asked.signal, { lines: true, idleMs: PULL_IDLE_MS })
      const pulled = new Pulled()
      for await (const line of await client.pull({ model, stream: true })) yield pulled.add(line)
    } catch (error) {
      throw this.#error(error, model, call.signal)
    } finally {
      asked.end()
    }
  }

  async #chat(request: CompletionRequest | ObjectRequest, signal: AbortSignal): Promise<Chat> {
    const images = await fetchImages(request.messages, { from: this.#imagesFrom, signal })
    return toChat(request, this.#keepAlive, images)
  }

  async #ask<T>(
    model: string,
    { signal }: GatewayCall,
    work: (client: Ollama, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const asked = requestSignal(signal)
    try {
      return await work(await this.#client(asked.signal), asked.signal)
    } catch (error) {
      throw this.#error(error, model, signal)
    } finally {
      asked.end()
    }
  }

  #error(thrown: unknown, model: string, signal: AbortSignal): Error {
    const { provider } = this
    if (!signal.aborted && !isMurmurError(thrown) && isRefusedConnection(thrown)) {
      const message = `nobody answers at ${this.#url}; start Ollama there ("ollama serve"), or say where it is (host, OLLAMA_HOST)`
      return providerError({ provider, model, status: undefined, message, cause: thrown })
    }
    const asked = { provider, model, signal, hide: this.#hide }
    return askError(thrown, asked, (error) => readRefusal(error, model))
  }
}
