import { defineAgent } from "murmur"
import { z } from "zod"

/** Sees the report and what it rests on, and nothing of how it came about. */
export const reviewer = defineAgent("reviewer", {
  description: "Checks a report against the findings",
  on: [],
  input: z.object({
    question: z.string(),
    report: z.string(),
    findings: z.array(z.object({ answer: z.string(), sources: z.array(z.string()) })),
  }),
  output: z.object({ good: z.boolean(), objections: z.array(z.string()) }),
  instructions: `
Check the report: does it answer the question, is each sentence in the findings, does it keep silent about none of them?
Object only to what would mislead a reader. Each objection is one sentence that says what to change.`,
})
