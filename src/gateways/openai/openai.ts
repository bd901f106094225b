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
import { type OpenAiClient, openAiClient, refusalIn } from "./client.js"
import { readAnswer, readEmbeddings, readModels, toBody, toCompletion } from "./convert.js"
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

  /** Runs one request, and makes our error of whatever goes wrong. */
  async function ask<T>(model: string, { signal }: GatewayCall, work: Work<T>): Promise<T> {
    const request = requestSignal(signal)
    let refusalOf: OpenAiClient["refusalOf"] | undefined
    try {
      const loaded = await client()
      refusalOf = loaded.refusalOf
      const answer = await work(loaded.sdk, request.signal)
      request.done()
      return answer
    } catch (error) {
      throw askError(error, { provider, model, signal, hide }, refusalOf)
    } finally {
      request.end()
    }
  }

  async function complete(request: CompletionRequest | ObjectRequest, call: GatewayCall): Promise<Completion> {
    return ask(request.model, call, async (sdk, signal) => {
      const body = toBody(request, await loadImages(request.messages), maxTokensField)
      const answer: unknown = await sdk.chat.completions.create(body, { signal })
      const raw = readAnswer(answer)
      if (raw === undefined) throw noAnswer(answer, { provider, model: request.model, signal: call.signal, hide })
      return toCompletion(raw, request)
    })
  }

  async function* stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const { model } = request
    const asked = requestSignal(call.signal)
    let refusalOf: OpenAiClient["refusalOf"] | undefined
    try {
      const loaded = await client()
      refusalOf = loaded.refusalOf
      const body = toBody(request, await loadImages(request.messages), maxTokensField)
      const streamed = { ...body, stream: true as const, stream_options: { include_usage: true } }
      const gathered = new Gathered()
      const chunks = await loaded.sdk.chat.completions.create(streamed, { signal: asked.signal })
      for await (const chunk of chunks) yield* gathered.add(chunk)
      // The SDK ends a stream that was aborted as if it were whole.
      call.signal.throwIfAborted()
      asked.done()
      if (gathered.answer === undefined) throw replyError(provider, model, "the stream broke off before its end")
      yield* ending(toCompletion(gathered.answer, request))
    } catch (error) {
      throw askError(error, { provider, model, signal: call.signal, hide }, refusalOf)
    } finally {
      asked.end()
    }
  }

  return {
    provider,
    account: accountOf(apiKey, baseURL),
    complete,
    completeObject: complete,
    stream,
    embed: ({ model, texts, dimensions }: EmbedRequest, call): Promise<Embeddings> =>
      ask(model, call, async (sdk, signal) => {
        const body = { model, input: [...texts], ...(dimensions !== undefined && { dimensions }) }
        const answer: unknown = await sdk.embeddings.create({ ...body, encoding_format: "float" }, { signal })
        const read = readEmbeddings(answer, { model, texts })
        if (read === undefined) throw noAnswer(answer, { provider, model, signal: call.signal, hide })
        return read
      }),
    models: (call): Promise<readonly OfferedModel[]> =>
      ask("*", call, async (sdk, signal) => readModels((await sdk.models.list({ signal })).data)),
  }
}

type Work<T> = (sdk: OpenAiClient["sdk"], signal: AbortSignal) => Promise<T>

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
