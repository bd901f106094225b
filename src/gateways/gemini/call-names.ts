import { z } from "zod"
import type { CompletionRequest } from "../completion.js"
import type { ToolCall } from "../messages/message.js"

/** A piece of an answer. */
export const ReplyPart = z.object({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  thoughtSignature: z.string().optional(),
  functionCall: z.object({ id: z.string().optional(), name: z.string(), args: z.unknown() }).optional(),
})
export type ReplyPart = z.infer<typeof ReplyPart>

/** A part with its call already named. */
export type NamedPart = ReplyPart & { readonly call?: ToolCall }

/** Names calls that Gemini has not named, so that asking again gives the same names. */
export class CallNames {
  readonly #first: number
  readonly #taken: Set<string>

  constructor({ messages }: CompletionRequest) {
    this.#first = messages.length
    this.#taken = new Set(
      messages.flatMap((message) =>
        message.role === "assistant" ? (message.toolCalls ?? []).map(({ id }) => id) : [],
      ),
    )
  }

  name(part: ReplyPart): NamedPart {
    const { functionCall } = part
    if (functionCall === undefined) return part
    const { id, name, args = {} } = functionCall
    const call = { id: this.#take(id), name, ...toArguments(args) }
    return { ...part, call }
  }

  #take(given: string | undefined): string {
    let n = this.#first
    let id = given ?? ""
    while (id === "" || this.#taken.has(id)) id = `call_${n++}`
    this.#taken.add(id)
    return id
  }
}

function toArguments(args: unknown): Pick<ToolCall, "arguments" | "malformed"> {
  if (typeof args === "object" && args !== null && !Array.isArray(args)) {
    return { arguments: args as Record<string, unknown> }
  }
  return { arguments: {}, malformed: typeof args === "string" ? args : JSON.stringify(args) }
}
