import { z } from "zod"

/** A question that waits for a person, as it is stored. */
export const QuestionRecord = z.object({
  id: z.string(),
  agent: z.string(),
  key: z.string().optional(),
  /** Id of the event whose step asks. */
  step: z.string(),
  /** Which call of the step it is. */
  position: z.int(),
  question: z.string(),
  choices: z.array(z.string()).optional(),
  /** The answer when nobody gives one in time. */
  default: z.string(),
  until: z.string(),
  askedAt: z.string(),
  /** Root of the causal tree. */
  correlationid: z.string(),
})
export type QuestionRecord = z.infer<typeof QuestionRecord>
