import type { z } from "zod"
import { converse, type Talk } from "./converse.js"
import { type CheckedCall, check, checkCall, Given, messagesOf, modelsOf, textsOf } from "./given.js"
import type {
  EmbedAnswer,
  Llm,
  ObjectAnswer,
  ObjectOptions,
  Prompt,
  TextAnswer,
  TextOptions,
  TextPiece,
  TextStream,
} from "./llm.js"
import { converseObject, wanted } from "./object.js"
import { Pieces } from "./pieces.js"
import { Bill, type Conversation, type LlmPort } from "./port.js"

/** What agents think with, over whoever answers. */
export function llmOf<Tool>(port: LlmPort<Tool>): Llm<Tool> {
  return {
    text: async (prompt, options = {}) => text(port, prompt, options),
    object: async (schema, prompt, options = {}) => object(port, schema, prompt, options),
    stream: (prompt, options = {}) => stream(port, prompt, options),
    embed: async (texts, options = {}) => {
      const { model, priority, deadlineMs, cacheMs, timeoutMs, dimensions } = check(port, Given.embed, options)
      const request = {
        models: modelsOf(port, model),
        texts: textsOf(port, texts),
        options: { ...(timeoutMs !== undefined && { timeoutMs }) },
        ...(dimensions !== undefined && { dimensions }),
        ...(cacheMs !== undefined && { cacheMs }),
      }
      const deadline = deadlineMs === undefined ? undefined : port.now() + deadlineMs
      const answer = await port.begin(false).embed(request, { priority, deadlineMs: deadline, onPart: undefined })
      const bill = new Bill()
      bill.add(answer)
      return { ...bill.total, vectors: answer.vectors } satisfies EmbedAnswer
    },
  }
}

async function text<Tool>(
  port: LlmPort<Tool>,
  prompt: Prompt,
  options: TextOptions<Tool>,
  onPiece?: (piece: TextPiece) => void,
): Promise<TextAnswer> {
  const given = checkCall(port, "text", options)
  const conversation = begun(messagesOf(port, prompt))
  const talk = talkOf(port, given, { several: given.tools.length > 0, onPiece })
  const { message, finishReason } = await converse(talk, conversation)
  return { ...talk.bill.total, text: message.content, message, messages: conversation.added, finishReason }
}

async function object<T, Tool>(
  port: LlmPort<Tool>,
  schema: z.ZodType<T>,
  prompt: Prompt,
  options: ObjectOptions<Tool>,
): Promise<ObjectAnswer<T>> {
  const given = checkCall(port, "object", options)
  const want = wanted(schema, port.who)
  const conversation = begun(messagesOf(port, prompt))
  const talk = talkOf(port, given, { several: true, object: { name: options.name ?? "answer", schema: want.schema } })
  const fits = await converseObject(talk, conversation, want, options.repairs ?? 2)
  return { ...talk.bill.total, object: fits, messages: conversation.added }
}

function stream<Tool>(port: LlmPort<Tool>, prompt: Prompt, options: TextOptions<Tool>): TextStream {
  const pieces = new Pieces()
  let hasText = false
  const answer = text(port, prompt, options, (piece) => {
    if (piece.type === "text") hasText = true
    pieces.push(piece)
  })
  answer.then(
    (whole) => {
      if (!hasText && whole.text !== "") pieces.push({ type: "text", text: whole.text }) // it was given before
      pieces.end()
    },
    (error) => pieces.end(error),
  )
  return { answer, [Symbol.asyncIterator]: () => pieces[Symbol.asyncIterator]() }
}

function begun(messages: Conversation["messages"]): Conversation {
  return { messages, added: [] }
}

function talkOf<Tool>(
  port: LlmPort<Tool>,
  given: CheckedCall<Tool>,
  more: {
    readonly several: boolean
    readonly object?: Talk<Tool>["object"]
    readonly onPiece?: ((piece: TextPiece) => void) | undefined
  },
): Talk<Tool> {
  const { several, object, onPiece } = more
  return { port, given, object, onPiece, calls: port.begin(several), bill: new Bill() }
}
