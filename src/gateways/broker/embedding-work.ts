import { z } from "zod"
import { CompletionOptions, Embeddings } from "../completion.js"
import { estimateTokens } from "../tokens/estimate-tokens.js"
import type { BrokerEmbedRequest } from "./broker.js"
import { badOption, issuesText, tooLarge } from "./refusals.js"
import { JSON_BYTES_MAX, jsonBytesOver } from "./reply-size.js"
import type { Work } from "./work.js"

const ADVICE = "Embed fewer texts at a time, or ask for fewer dimensions"
/** A number has at most so many characters in JSON, its comma included. */
const CHARACTERS_A_NUMBER = 25

const EmbedInput = z.object({
  texts: z.array(z.string()).min(1),
  dimensions: z.int().min(1).optional(),
  timeoutMs: CompletionOptions.shape.timeoutMs,
})

/**
 * What is to become vectors.
 *
 * @throws TerminalError `LLM_OPTION`
 */
export function embeddingWork(request: BrokerEmbedRequest): Work<Embeddings> {
  const { texts, dimensions, options } = checked(request)
  return {
    operation: "embeddings",
    timeoutMs: options.timeoutMs,
    maxTokens: 0,
    cacheMs: request.cacheMs,
    unfit: () => undefined,
    ask: async (gateway, { model }, { signal }) =>
      gateway.embed({ model, texts, ...(dimensions !== undefined && { dimensions }), options }, { signal }),
    inputTokens: () => estimateTokens(texts.map((content) => ({ role: "user", content }))),
    usage: ({ usage }) => usage,
    describe: ({ model }) => ({ model }),
    check: (name, answer) => {
      const numbers = answer.vectors.reduce((sum, vector) => sum + vector.length, 0)
      const bytes = jsonBytesOver(answer, Math.ceil((numbers * CHARACTERS_A_NUMBER) / 6))
      if (bytes !== undefined) throw tooLarge(name, bytes, JSON_BYTES_MAX, ADVICE)
    },
    identity: () => ({ texts, dimensions }),
    keepable: () => true,
    restore: (kept) => {
      const read = Embeddings.safeParse(kept)
      return read.success ? { ...read.data, usage: { inputTokens: 0, outputTokens: 0 } } : undefined
    },
    deliver: () => {},
    content: () => ({}),
  }
}

function checked(request: BrokerEmbedRequest): BrokerEmbedRequest {
  const { texts, dimensions, options } = request
  const unknown = Object.keys(options).find((key) => key !== "timeoutMs")
  if (unknown !== undefined) throw badOption("embed texts", `options: unknown option "${unknown}" (known: timeoutMs)`)
  const read = EmbedInput.safeParse({ texts, dimensions, timeoutMs: options.timeoutMs })
  if (!read.success) throw badOption("embed texts", issuesText(read.error.issues))
  return request
}
