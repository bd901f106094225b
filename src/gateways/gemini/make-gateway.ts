import type { GoogleGenAI } from "@google/genai"
import { z } from "zod"
import { TerminalError } from "../../errors.js"
import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "../completion.js"
import { replyError } from "../errors.js"
import type { Gateway, GatewayCall, OfferedModel } from "../gateway.js"
import { askError } from "../http/ask-error.js"
import { tokensOf } from "../http/estimated-usage.js"
import type { LoadSdk } from "../http/optional-peer.js"
import { readReply } from "../http/read-reply.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, hiding, secretHeaders } from "../http/secrets.js"
import { fetchImages } from "../messages/fetch-image.js"
import { geminiClient, type Sdk } from "./client.js"
import { toCompletion, toParams } from "./convert.js"
import { Gathered } from "./gather.js"
import { type GeminiOptions, settle } from "./options.js"
import { readRefusal } from "./refusal.js"

const PROVIDER = "gemini"
const MODELS_MAX = 1_000

/** A gateway to Gemini; tests give it an SDK from elsewhere. */
export function geminiWith(options: GeminiOptions, load?: LoadSdk<Sdk>): Gateway {
  const settings = settle(options, process.env)
  const { apiKey, baseURL, headers, imagesFrom } = settings
  const hide = hiding([apiKey, ...secretHeaders(headers)])
  const open = geminiClient({ ...settings, provider: PROVIDER, apiKey: apiKey ?? "" }, load)

  function connect(): Promise<GoogleGenAI> {
    if (apiKey === undefined) throw noKey()
    return open()
  }

  async function ask<T>(model: string, { signal }: GatewayCall, work: Work<T>): Promise<T> {
    const request = requestSignal(signal)
    try {
      return await work(await connect(), request.signal)
    } catch (error) {
      throw askError(error, { provider: PROVIDER, model, signal, hide }, readRefusal)
    } finally {
      request.end()
    }
  }

  async function paramsOf(request: CompletionRequest | ObjectRequest, signal: AbortSignal) {
    return toParams(request, await fetchImages(request.messages, { from: imagesFrom, signal }), signal)
  }

  function complete(request: CompletionRequest | ObjectRequest, call: GatewayCall): Promise<Completion> {
    return ask(request.model, call, async (client, signal) => {
      const gathered = new Gathered(request)
      gathered.add(await client.models.generateContent(await paramsOf(request, signal)))
      if (gathered.whole === undefined) throw replyError(PROVIDER, request.model, "it has no end")
      return toCompletion(gathered.whole, request)
    })
  }

  async function* stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const { model } = request
    const asked = requestSignal(call.signal)
    try {
      const client = await connect()
      const gathered = new Gathered(request)
      const pieces = await client.models.generateContentStream(await paramsOf(request, asked.signal))
      for await (const piece of pieces) yield* gathered.add(piece)
      if (gathered.whole === undefined) throw replyError(PROVIDER, model, "the stream broke off before its end")
      yield { type: "end", completion: toCompletion(gathered.whole, request) }
    } catch (error) {
      throw askError(error, { provider: PROVIDER, model, signal: call.signal, hide }, readRefusal)
    } finally {
      asked.end()
    }
  }

  return {
    provider: PROVIDER,
    account: accountOf(apiKey, baseURL),
    complete,
    completeObject: complete,
    stream,
    embed: ({ model, texts, dimensions }: EmbedRequest, call): Promise<Embeddings> =>
      ask(model, call, async (client, abortSignal) => {
        const reply: unknown = await client.models.embedContent({
          model,
          // As contents: some models would take a list of texts for one.
          contents: texts.map((text) => ({ parts: [{ text }] })),
          config: { abortSignal, ...(dimensions !== undefined && { outputDimensionality: dimensions }) },
        })
        const vectors = (readReply(EmbedReply, reply).embeddings ?? []).map(({ values }) => values)
        if (vectors.length !== texts.length) {
          throw replyError(PROVIDER, model, `${texts.length} texts, and ${vectors.length} vectors`)
        }
        // Gemini does not count what it embeds.
        return { vectors, usage: { inputTokens: tokensOf(texts.join("").length), outputTokens: 0 }, model }
      }),
    models: (call): Promise<readonly OfferedModel[]> =>
      ask("models", call, async (client, abortSignal) => {
        const { page } = await client.models.list({ config: { pageSize: MODELS_MAX, abortSignal } })
        return readReply(ModelList, page).map(({ name, inputTokenLimit }) => ({
          name: name.replace(/^models\//, ""),
          ...(inputTokenLimit !== undefined && { contextTokens: inputTokenLimit }),
        }))
      }),
  }
}

type Work<T> = (client: GoogleGenAI, signal: AbortSignal) => Promise<T>

const EmbedReply = z.object({ embeddings: z.array(z.object({ values: z.array(z.number()) })).optional() })
const ModelList = z.array(z.object({ name: z.string(), inputTokenLimit: z.int().min(1).optional() }))

function noKey(): TerminalError {
  return new TerminalError(
    `Cannot ask "${PROVIDER}": there is no key; set GEMINI_API_KEY, or give the gateway an apiKey`,
    { code: "LLM_KEY", details: { provider: PROVIDER } },
  )
}
