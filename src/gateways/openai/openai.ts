import type OpenAI from "openai"
import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "../completion.js"
import { providerError, replyError } from "../errors.js"
import type { Gateway, GatewayCall, OfferedModel } from "../gateway.js"
import { type Asked, askError } from "../http/ask-error.js"
import { checkOptions } from "../http/gateway-options.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, hiding, secretHeaders } from "../http/secrets.js"
import { loadImages } from "../messages/load-image.js"
import { openAiClient, refusalIn } from "./client.js"
import { readAnswer, readEmbeddings, readModels, toBody, toCompletion, toEmbedBody } from "./convert.js"
import { Gathered } from "./gather.js"
import { OpenAiOptions, settle } from "./options.js"

/**
 * A gateway to OpenAI, or to any server that speaks its chat completions: vLLM, llama.cpp, LM Studio. It takes the official
 * SDK, which is loaded at the first call.
 *
 * @throws TerminalError `LLM_OPTION`
 * @example
 * openai()                                                                     // OPENAI_API_KEY
 * openai({ provider: "vllm", baseURL: "http://127.0.0.1:8000/v1" })            // models: "vllm/Qwen/Qwen3-8B"
 */
export function openai(options: OpenAiOptions = {}): Gateway {
  const settings = settle(checkOptions("openai", OpenAiOptions, options), process.env)
  const { provider, apiKey, baseURL, headers, maxTokensField } = settings
  const client = openAiClient(settings)
  const hide = hiding([apiKey, ...secretHeaders(headers)])
  const about = (model: string, { signal }: GatewayCall): Asked => ({ provider, model, signal, hide })

  /** Runs one request, and makes our error of whatever goes wrong. */
  async function ask<T>(model: string, call: GatewayCall, work: Work<T>): Promise<T> {
    const request = requestSignal(call.signal)
    try {
      const answer: unknown = await work.send(await client.load(), request.signal)
      request.done()
      const read = work.read(answer)
      if (read === undefined) throw noAnswer(answer, about(model, call))
      return read
    } catch (error) {
      throw askError(error, about(model, call), client.refusalOf)
    } finally {
      request.end()
    }
  }

  const complete = (request: CompletionRequest | ObjectRequest, call: GatewayCall): Promise<Completion> =>
    ask(request.model, call, {
      async send(sdk, signal) {
        const body = toBody(request, await loadImages(request.messages), maxTokensField)
        return await sdk.chat.completions.create(body, { signal })
      },
      read(answer) {
        const raw = readAnswer(answer)
        return raw && toCompletion(raw, request)
      },
    })

  async function* stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const asked = requestSignal(call.signal)
    try {
      const sdk = await client.load()
      const body = toBody(request, await loadImages(request.messages), maxTokensField)
      const streamed = { ...body, stream: true as const, stream_options: { include_usage: true } }
      const gathered = new Gathered()
      const chunks = await sdk.chat.completions.create(streamed, { signal: asked.signal })
      for await (const chunk of chunks) yield* gathered.add(chunk)
      asked.done()
      const { answer } = gathered
      if (answer === undefined) throw replyError(provider, request.model, "the stream broke off before its end")
      yield* ending(toCompletion(answer, request))
    } catch (error) {
      throw askError(error, about(request.model, call), client.refusalOf)
    } finally {
      asked.end()
    }
  }

  const embed = (request: EmbedRequest, call: GatewayCall): Promise<Embeddings> =>
    ask(request.model, call, {
      send: (sdk, signal) => sdk.embeddings.create(toEmbedBody(request), { signal }),
      read: (answer) => readEmbeddings(answer, request),
    })

  // Not the SDK's own list, which takes whatever comes for a page without entries.
  const models = (call: GatewayCall): Promise<readonly OfferedModel[]> =>
    ask("*", call, { send: (sdk, signal) => sdk.get("/models", { signal }), read: readModels })

  const account = accountOf(apiKey, baseURL)
  return { provider, account, complete, completeObject: complete, stream, embed, models }
}

/** One request: how it is sent, and how its answer is read; `undefined` when it is no answer. */
interface Work<T> {
  send(sdk: OpenAI, signal: AbortSignal): Promise<unknown>
  read(answer: unknown): T | undefined
}

/** A tool call is told when it is whole; then the end. */
function* ending(completion: Completion): Generator<StreamPart> {
  for (const call of completion.message.toolCalls ?? []) yield { type: "tool-call", call }
  yield { type: "end", completion }
}

/** Something came with status 200 that is no answer: an error all the same, or the page of a proxy. */
function noAnswer(answer: unknown, { provider, model, hide }: Asked): Error {
  const error = (answer as { error?: unknown } | undefined)?.error
  if (error !== undefined && error !== null) {
    const { status, message } = refusalIn(error)
    return providerError({ provider, model, status, message: hide(message) })
  }
  const begin = typeof answer === "string" ? `: it begins with ${JSON.stringify(hide(answer).slice(0, 60))}` : ""
  return replyError(provider, model, `it is not what the protocol says${begin}; is the baseURL right?`)
}
