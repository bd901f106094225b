import { z } from "zod"
import type { BusCore } from "../bus/bus-core.js"
import { decode } from "../bus/decode.js"
import { readHistory } from "../bus/reader.js"

/** Published when a question is answered, by a person or by its default. */
export const ANSWERED = "murmur.question.answered"

/** What `murmur.question.answered` says. */
const AnsweredData = z.object({
  /** Of the question. */
  id: z.string(),
  agent: z.string(),
  step: z.string(),
  question: z.string(),
  answer: z.string(),
  /** Who answered; `null` when nobody did in time. */
  by: z.string().nullable(),
  byDefault: z.boolean(),
})

/** An answer that a step has taken. */
export interface AnswerTaken extends z.infer<typeof AnsweredData> {
  readonly at: string
}

/** The newest answer to a question that is meant, if one was ever taken and its event is still there. */
export async function findAnswer(
  bus: BusCore,
  isMeant: (questionId: string) => boolean,
  signal?: AbortSignal,
): Promise<AnswerTaken | undefined> {
  const filter = bus.names.storedFilter(ANSWERED, { producer: "murmur" })
  let found: AnswerTaken | undefined
  for await (const message of readHistory(bus.link, {
    ...{ stream: bus.names.events, filter, from: { seq: 1 } },
    signal,
  })) {
    const decoded = decode(bus.names, message)
    if (!decoded.ok) continue
    const data = AnsweredData.safeParse(decoded.event.data).data
    if (data !== undefined && isMeant(data.id)) found = { ...data, at: message.time.toISOString() }
  }
  return found
}
