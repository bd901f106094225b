import { z } from "zod"
import { type CompletionRequest, FinishReason, Usage } from "../completion.js"

/** A tool call that a script asks for. */
export const ScriptedToolCall = z.strictObject({
  name: z.string().min(1),
  /** Text stands for what a model wrote instead of a JSON object. Default: none. */
  arguments: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  /** Default: made of the place in the conversation, so that it is the same each time. */
  id: z.string().min(1).optional(),
})

/** What the model answers. */
export const ScriptedAnswer = z.strictObject({
  text: z.string().optional(),
  /** Sent as JSON, in place of a text. */
  object: z.unknown().optional(),
  reasoning: z.string().optional(),
  toolCalls: z.array(ScriptedToolCall).min(1).optional(),
  /** Default: `tool-calls` where there are any, else `stop`. */
  finishReason: FinishReason.optional(),
  /** Default: four characters a token. */
  usage: Usage.optional(),
})
export type ScriptedAnswer = z.infer<typeof ScriptedAnswer>

/** What happens instead of an answer. Of a stream that is `reset` or `cut`, the pieces of `text` come before. */
export const ScriptedFault = z.discriminatedUnion("fault", [
  /** 429: ask later. */
  z.strictObject({ fault: z.literal("busy"), retryAfterMs: z.int().min(0).optional() }),
  /** 503. */
  z.strictObject({ fault: z.literal("unavailable") }),
  /** Nothing, until the caller gives up. */
  z.strictObject({ fault: z.literal("hang") }),
  /** The connection is reset. */
  z.strictObject({ fault: z.literal("reset"), text: z.string().optional() }),
  /** An answer that cannot be read. */
  z.strictObject({ fault: z.literal("cut"), text: z.string().optional() }),
  /** An answer of many characters. Default 2_000_000. */
  z.strictObject({ fault: z.literal("huge"), characters: z.int().min(1).max(50_000_000).optional() }),
  /** Any other status. */
  z.strictObject({ fault: z.literal("refused"), status: z.int().min(400).max(599), message: z.string().optional() }),
])
export type ScriptedFault = z.infer<typeof ScriptedFault>

/** Text, an answer, or what goes wrong. */
export type ScriptedReply = string | ScriptedAnswer | ScriptedFault
export const ScriptedReply = chosen<ScriptedReply>((value) => {
  if (typeof value === "string") return z.string()
  return typeof value === "object" && value !== null && "fault" in value ? ScriptedFault : ScriptedAnswer
})

/** What a reply may be made of. */
export interface ScriptedRequest extends CompletionRequest {
  /** Of the last message that is a user's; empty without one. */
  readonly lastUser: string
  /** What that message shows as data (an event, or what `delimited` has made), the first of it; else `undefined`. */
  readonly data: unknown
  /** What the last message is, if it is a tool's result. */
  readonly lastTool: { readonly name: string; readonly content: string } | undefined
  /** How often the model has answered since that user's message: 0, then 1 when the results of its tools are there. */
  readonly turn: number
  /** How often this gateway was asked before. */
  readonly calls: number
  /** Of the object that is wanted, if one is. */
  readonly schemaName?: string
}

/** A reply that is made when it is wanted. */
export type ScriptedFunction = (request: ScriptedRequest) => ScriptedReply | Promise<ScriptedReply>

const Reply = chosen<ScriptedReply | ScriptedFunction>((value) =>
  typeof value === "function" ? z.unknown() : ScriptedReply,
)
const Pattern = z.union([z.string().min(1), z.instanceof(RegExp)])

/** One line of the table. The first that matches is taken; one without conditions matches anything. */
export const ScriptedRule = z
  .strictObject({
    /** Part of the last user's message, in any case of letters, or an expression that it matches. */
    when: Pattern.optional(),
    /** The same of what the system says. */
    system: Pattern.optional(),
    /** Of the object that is wanted. */
    schema: z.string().min(1).optional(),
    /** Only for this model. */
    model: z.string().min(1).optional(),
    /** Always this. */
    reply: Reply.optional(),
    /**
     * By how often the model has answered since the last user's message: first a tool call, then what is said with its
     * result. The last one again and again. It counts in the messages, so a restart changes nothing.
     */
    turns: z.array(Reply).min(1).optional(),
    /** One after the other, whoever asks; the last one again and again. It begins again with the process. */
    sequence: z.array(Reply).min(1).optional(),
  })
  .refine((rule) => [rule.reply, rule.turns, rule.sequence].filter((given) => given !== undefined).length === 1, {
    message: 'exactly one of "reply", "turns" and "sequence" is wanted',
  })
export type ScriptedRule = z.infer<typeof ScriptedRule>

/** The table, or a function of the request. */
export type ScriptedReplies = readonly ScriptedRule[] | ScriptedFunction
export const ScriptedReplies = chosen<ScriptedReplies>((value) =>
  typeof value === "function" ? z.unknown() : z.array(ScriptedRule),
)

/** A schema that is chosen by the value: its issues say where and what, while a union's say that nothing has matched. */
function chosen<T>(choose: (value: unknown) => z.ZodType): z.ZodType<T, T> {
  return z.custom<T>().superRefine((value, context) => {
    for (const { path, message } of choose(value).safeParse(value).error?.issues ?? []) {
      context.addIssue({ code: "custom", path: [...path], message })
    }
  })
}
