import { z } from "zod"
import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "../completion.js"
import type { Gateway, GatewayCall } from "../gateway.js"
import { tokensOf } from "../http/estimated-usage.js"
import { checkOptions, ProviderName, TimerMs } from "../http/gateway-options.js"
import { chooseBy, toScriptedRequest } from "./choose-reply.js"
import { hashedVector } from "./hashed-vector.js"
import { hang, type Played, pause, piecesOf, play } from "./play.js"
import { ScriptedReplies } from "./script.js"

const REQUESTS_KEPT = 200
const DIMENSIONS = 64

const DelayMs = z.union([z.literal(0), TimerMs]).default(0)

/** A script. Unknown options are errors. */
export const ScriptedOptions = z.strictObject({
  /** What is answered: a table, of which the first line that matches is taken, or a function of the request. */
  replies: ScriptedReplies,
  /** Makes the vector of a text. Default: {@link hashedVector}, 64 long unless the request says otherwise. */
  embed: z
    .custom<(text: string, dimensions: number) => readonly number[]>((value) => typeof value === "function")
    .default(() => hashedVector),
  /** The models that it says it has; it answers for any other too. Default `demo`. */
  models: z.array(z.string().min(1)).default(["demo"]),
  /** The first part of model names. Default `scripted`. */
  provider: ProviderName.default("scripted"),
  /** How long an answer takes until it begins, in milliseconds. Default 0. */
  delayMs: DelayMs,
  /** Between two pieces of a stream, in milliseconds. Default 0. */
  pieceDelayMs: DelayMs,
})
export type ScriptedOptions = z.input<typeof ScriptedOptions>

/** A gateway that answers by a script. */
export interface ScriptedGateway extends Gateway {
  /** What it was asked, the newest last; at most 200 are kept. */
  readonly requests: readonly CompletionRequest[]
}

/**
 * A model that answers by a script: no network, no key, no cost, the same each time. Demonstrations run on it, and tests of
 * agents. Each request looks at the table from its top:
 *
 * - `when`, `system`, `schema`, `model` say what a line is for; all that are given must hold;
 * - `reply` is always the same, `turns` follows the conversation, `sequence` counts the requests;
 * - a reply is a text, an answer, a fault, or a function of the request.
 *
 * A request that no line is for fails with `LLM_SCRIPT`, which says what was asked.
 *
 * @throws TerminalError `LLM_OPTION`
 * @example
 * const model = scripted({
 *   replies: [
 *     { when: "weather", turns: [{ toolCalls: [{ name: "weather", arguments: { city: "Bern" } }] }, "Sunny in Bern."] },
 *     { schema: "diagnosis", reply: { object: { cause: "disk full" } } },
 *     { when: /flaky/i, sequence: [{ fault: "busy", retryAfterMs: 500 }, "Here you are."] },
 *     { reply: ({ lastUser }) => `You said: ${lastUser}` },
 *   ],
 * })
 */
export function scripted(options: ScriptedOptions): ScriptedGateway {
  const { replies, embed, models, provider, delayMs, pieceDelayMs } = checkOptions("scripted", ScriptedOptions, options)
  const choose = chooseBy(provider, replies)
  const requests: CompletionRequest[] = []
  let calls = 0

  async function played(
    request: CompletionRequest | ObjectRequest,
    signal: AbortSignal,
  ): Promise<Exclude<Played, { never: true }>> {
    signal.throwIfAborted()
    requests.push(request)
    if (requests.length > REQUESTS_KEPT) requests.shift()
    const reply = await choose(toScriptedRequest(request, calls++))
    await pause(delayMs, signal)
    const result = play(reply, request, provider)
    return "never" in result ? await hang(signal) : result
  }

  async function complete(request: CompletionRequest | ObjectRequest, { signal }: GatewayCall): Promise<Completion> {
    const result = await played(request, signal)
    if ("error" in result) throw result.error
    return result.completion
  }

  return {
    provider,
    account: "scripted",
    requests,
    complete,
    completeObject: complete,
    async *stream(request, { signal }): AsyncGenerator<StreamPart> {
      let first = true
      for (const piece of piecesOf(await played(request, signal))) {
        await pause(first ? 0 : pieceDelayMs, signal)
        first = false
        yield piece
      }
    },
    async embed({ model, texts, dimensions = DIMENSIONS }: EmbedRequest, { signal }): Promise<Embeddings> {
      await pause(delayMs, signal)
      const inputTokens = tokensOf(texts.reduce((sum, text) => sum + text.length, 0))
      const vectors = texts.map((text) => [...embed(text, dimensions)])
      return { vectors, usage: { inputTokens, outputTokens: 0 }, model }
    },
    models: async () => models.map((name) => ({ name })),
  }
}
