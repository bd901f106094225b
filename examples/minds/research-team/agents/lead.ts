import { defineAgent, delimited, system, user } from "murmur"
import { z } from "zod"
import { QuestionAsked, ReportFinished } from "../events.js"
import { researcher } from "./researcher.js"
import { reviewer } from "./reviewer.js"

const Plan = z.object({ parts: z.array(z.string()).min(2).max(4) })
const PLAN = system("Take the question apart into two to four questions that can be researched each by itself.")
const WRITE = system("Write a report of at most five sentences that answers the question, from the findings alone.")
const MINUTE = 60_000

/**
 * The team's plan is this code: take apart, ask all researchers at once, write, have it reviewed, mend it once. Each call
 * is journaled. While others work nothing is held: the process may die here, and the report comes all the same.
 */
export default defineAgent("lead", {
  description: "Has a question researched, and the report reviewed",
  on: [QuestionAsked],
  emits: [ReportFinished],
  async handle({ data: { topic, question } }, ctx) {
    const { object: plan } = await ctx.llm.object(Plan, [PLAN, user(question)], { name: "plan" })
    // "all" waits for each of them, at most two minutes; "majority" would go on with more than half
    const results = await ctx.gather(
      plan.parts.map((part) => ({ agent: researcher, input: { question: part } })),
      { mode: "all", deadlineMs: 2 * MINUTE },
    )
    const findings = results.flatMap((result) => (result.ok ? [result.output] : []))
    const open = plan.parts.filter((_, at) => results[at]?.ok !== true)

    const write = async (objections: readonly string[]) => {
      const material = delimited({ question, findings, open, objections }, { kind: "findings and objections" })
      return (await ctx.llm.text([WRITE, user(material)])).text
    }
    let text = await write([])
    const { good, objections } = await ctx.delegate(
      reviewer,
      { question, report: text, findings },
      { deadlineMs: 2 * MINUTE, default: { good: true, objections: [] } },
    )
    if (!good) text = await write(objections)
    const sources = [...new Set(findings.flatMap((finding) => finding.sources))].sort()
    ctx.emit(ReportFinished({ topic, text, sources, open, revisions: good ? 0 : 1 }))
  },
})
