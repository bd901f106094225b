import type { Ollama } from "ollama"
import { z } from "zod"
import { errorCode } from "../../errors.js"
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
import { askError, type Refusal } from "../http/ask-error.js"
import { tokensOf } from "../http/estimated-usage.js"
import { checkOptions } from "../http/gateway-options.js"
import { guardedFetch } from "../http/guarded-fetch.js"
import { patientFetch } from "../http/patient-fetch.js"
import { readReply } from "../http/read-reply.js"
import { refusalOf, refusingFetch } from "../http/refusing-fetch.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, type Hide, hiding, secretHeaders } from "../http/secrets.js"
import { fetchImages, type ImagesFrom } from "../messages/fetch-image.js"
import { ollamaAddress } from "./address.js"
import { Answer, type Chat, toChat } from "./convert.js"
import { checkedLines } from "./lines.js"
import { offeredModels } from "./offered-models.js"
import { OllamaOptions } from "./options.js"
import { Pulled } from "./pulled.js"

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
  readonly #headers: Readonly<Record<string, string>>
  readonly #keepAlive: string | number | undefined
  readonly #imagesFrom: ImagesFrom
  readonly #idleMs: number | undefined
  readonly #hide: Hide

  constructor({
    host,
    headers = {},
    keepAlive,
    provider = "ollama",
    idleTimeoutMs,
    imagesFrom = "public",
  }: OllamaOptions) {
    const { url, authorization, secrets } = ollamaAddress(host ?? (process.env.OLLAMA_HOST || HOST))
    this.provider = provider
    this.#url = url
    this.#headers = { ...(authorization !== undefined && { authorization }), ...headers }
    this.#keepAlive = keepAlive
    this.#imagesFrom = imagesFrom
    this.#idleMs = idleTimeoutMs
    // Of Ollama's own servers the library takes the key from the environment.
    const key = process.env.OLLAMA_API_KEY
    this.#hide = hiding([key, ...secrets, ...secretHeaders(this.#headers)])
    this.account = accountOf(JSON.stringify([this.#headers, key]), url)
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
        ...{ model, input: [...texts] },
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
    return this.#ask("*", call, (client) => offeredModels(client))
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
      return await work(await this.#client(asked.signal, {}), asked.signal)
    } catch (error) {
      throw this.#error(error, model, signal)
    } finally {
      asked.end()
    }
  }

  /** One for each request: the library takes no signal, but a `fetch` that has one. */
  async #client(
    signal: AbortSignal,
    { lines = false, idleMs = this.#idleMs }: { readonly lines?: boolean; readonly idleMs?: number | undefined },
  ): Promise<Ollama> {
    const { Ollama } = await import("ollama")
    const bounds = { provider: this.provider, ...(idleMs !== undefined && { idleMs }) }
    const fetch = refusingFetch(patientFetch(guardedFetch(bounds)))
    return new Ollama({
      host: this.#url,
      headers: { ...this.#headers },
      fetch: async (input: string | URL | Request, init?: RequestInit) => {
        const response = await fetch(input, { ...init, signal })
        return lines ? checkedLines(response) : response
      },
    })
  }

  #error(thrown: unknown, model: string, signal: AbortSignal): Error {
    const { provider } = this
    if (!signal.aborted && isRefusedConnection(thrown)) {
      const message = `nobody answers at ${this.#url}; start Ollama there ("ollama serve"), or say where it is (host, OLLAMA_HOST)`
      return providerError({ provider, model, status: undefined, message, cause: thrown })
    }
    const asked = { provider, model, signal, hide: this.#hide }
    return askError(thrown, asked, (error) => readRefusal(error, model))
  }
}

function readRefusal(error: unknown, model: string): Refusal | undefined {
  const refusal = refusalOf(error, (body) => {
    const message = (body as { error?: unknown } | null | undefined)?.error
    return typeof message === "string" ? message : undefined
  })
  if (refusal?.status !== 404) return refusal
  return { ...refusal, message: `${refusal.message}; fetch it with "ollama pull ${model}"` }
}

function isRefusedConnection(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (errorCode(error) === "ECONNREFUSED") return true
    if (error instanceof AggregateError && error.errors.some((each) => errorCode(each) === "ECONNREFUSED")) return true
  }
  return false
}
