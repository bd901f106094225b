import { z } from "zod"
import { TerminalError } from "../../errors.js"
import type { Completion, CompletionRequest, ObjectRequest, StreamPart } from "../completion.js"
import { replyError } from "../errors.js"
import type { Gateway, GatewayCall, OfferedModel } from "../gateway.js"
import { askError } from "../http/ask-error.js"
import type { LoadSdk } from "../http/optional-peer.js"
import { readReply } from "../http/read-reply.js"
import { requestSignal } from "../http/request-signal.js"
import { accountOf, hiding, secretHeaders } from "../http/secrets.js"
import { loadImages } from "../messages/load-image.js"
import { type AnthropicClient, anthropicClient, type Sdk } from "./client.js"
import { Reply, toCompletion, toParams } from "./convert.js"
import { Gathered } from "./gather.js"
import { type AnthropicOptions, settle } from "./options.js"
import { readRefusal } from "./refusal.js"

const PROVIDER = "anthropic"
const MESSAGES = "/v1/messages"
const MODELS_MAX = 1_000

/** A gateway to Anthropic; tests give it an SDK from elsewhere. */
export function anthropicWith(options: AnthropicOptions, load?: LoadSdk<Sdk>): Gateway {
  const settings = settle(options, process.env)
  const { apiKey, baseURL, headers } = settings
  const hide = hiding([apiKey, ...secretHeaders(headers)])
  const open = anthropicClient({ ...settings, provider: PROVIDER, apiKey: apiKey ?? "" }, load)

  function connect(): Promise<AnthropicClient> {
    if (apiKey === undefined) throw noKey()
    return open()
  }

  async function ask<T>(model: string, { signal }: GatewayCall, work: Work<T>): Promise<T> {
    const request = requestSignal(signal)
    let connected: AnthropicClient | undefined
    try {
      connected = await connect()
      return await work(connected, request.signal)
    } catch (error) {
      const { sdk } = connected ?? {}
      throw askError(error, { provider: PROVIDER, model, signal, hide }, (thrown) => readRefusal(thrown, sdk))
    } finally {
      request.end()
    }
  }

  function complete(request: CompletionRequest | ObjectRequest, call: GatewayCall): Promise<Completion> {
    return ask(request.model, call, async ({ client }, signal) => {
      const { params, headers, answerTool } = toParams(request, await loadImages(request.messages))
      // Not by `messages.create`, which writes to the console about models that are about to go.
      const reply: unknown = await client.post(MESSAGES, { body: params, headers, signal })
      return toCompletion(readReply(Reply, reply), request, answerTool)
    })
  }

  async function* stream(request: CompletionRequest, call: GatewayCall): AsyncGenerator<StreamPart> {
    const { model } = request
    const asked = requestSignal(call.signal)
    let connected: AnthropicClient | undefined
    try {
      connected = await connect()
      const { params, headers } = toParams(request, await loadImages(request.messages))
      const gathered = new Gathered()
      const sent = { body: { ...params, stream: true }, stream: true, headers, signal: asked.signal }
      const events = await connected.client.post<AsyncIterable<unknown>>(MESSAGES, sent)
      for await (const event of events) yield* gathered.add(event)
      // The SDK ends a stream that was aborted as if it were whole.
      call.signal.throwIfAborted()
      if (gathered.reply === undefined) throw replyError(PROVIDER, model, "the stream broke off before its end")
      yield { type: "end", completion: toCompletion(gathered.reply, request) }
    } catch (error) {
      const { sdk } = connected ?? {}
      throw askError(error, { provider: PROVIDER, model, signal: call.signal, hide }, (each) => readRefusal(each, sdk))
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
    embed: async ({ model }) => {
      throw new TerminalError(`Cannot make vectors with "${PROVIDER}/${model}": Anthropic has no embeddings`, {
        code: "LLM_UNSUPPORTED",
        details: { provider: PROVIDER, model },
      })
    },
    models: (call): Promise<readonly OfferedModel[]> =>
      ask("models", call, async ({ client }, signal) => {
        const reply: unknown = await client.get("/v1/models", { query: { limit: MODELS_MAX }, signal })
        return readReply(ModelList, reply).data.map(toOffered)
      }),
  }
}

type Work<T> = (connected: AnthropicClient, signal: AbortSignal) => Promise<T>

function noKey(): TerminalError {
  return new TerminalError(
    `Cannot ask "${PROVIDER}": there is no key; set ANTHROPIC_API_KEY, or give the gateway an apiKey`,
    { code: "LLM_KEY", details: { provider: PROVIDER } },
  )
}

const ModelList = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      max_input_tokens: z.int().min(1).nullish(),
      capabilities: z.object({ image_input: z.object({ supported: z.boolean() }).nullish() }).nullish(),
    }),
  ),
})

function toOffered({ id, max_input_tokens, capabilities }: z.infer<typeof ModelList>["data"][number]): OfferedModel {
  const images = capabilities?.image_input?.supported
  return {
    name: id,
    ...(max_input_tokens != null && { contextTokens: max_input_tokens }),
    ...(images !== undefined && { images }),
  }
}
