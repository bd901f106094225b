import { defineEvent } from "murmur"
import { z } from "zod"

export const QuestionAsked = defineEvent("question.asked", z.object({ topic: z.string(), question: z.string() }), {
  key: (asked) => asked.topic,
  description: "Somebody wants to know something that takes research",
})

export const ReportFinished = defineEvent(
  "report.finished",
  z.object({
    topic: z.string(),
    text: z.string(),
    /** The notes that it rests on. */
    sources: z.array(z.string()),
    /** Parts of the question that nobody has answered in time. */
    open: z.array(z.string()),
    /** How often the reviewer has sent it back. */
    revisions: z.int(),
  }),
  { key: (report) => report.topic, description: "A report, reviewed" },
)
