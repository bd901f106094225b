import { TerminalError } from "../../errors.js"
import type { StepContext } from "../context.js"

/** What is done in each case; `otherwise` where none fits. */
export type Cases<Out> = Readonly<Record<string, (ctx: StepContext) => Promise<Out> | Out>>

/**
 * Goes one of several ways. Which one is decided once and written down: a step that runs again goes the same way, whatever
 * time it is and whatever its state has become.
 *
 * @param name what is decided
 * @param decide names the case. It makes no calls of `ctx`: what it needs of them is asked before
 * @throws TerminalError `WORKFLOW_CASE` when there is no such case and no `otherwise`
 * @example
 * const { object } = await ctx.llm.object(Kind, "What is this? " + event.data.text)
 * await choose(ctx, "kind of ticket", () => object.kind, {
 *   bug: (ctx) => ctx.delegate(triage, { text }),
 *   question: (ctx) => ctx.delegate(support, { text }),
 *   otherwise: (ctx) => ctx.ask("What is this?", { default: "spam" }),
 * })
 */
export async function choose<const C extends Cases<unknown>>(
  ctx: StepContext,
  name: string,
  decide: () => Promise<string> | string,
  cases: C,
): Promise<Awaited<ReturnType<C[keyof C]>>> {
  const chosen = await ctx.run(`choose ${name}`, decide)
  const work = Object.hasOwn(cases, chosen) ? cases[chosen] : cases.otherwise
  if (work !== undefined) return (await work(ctx)) as Awaited<ReturnType<C[keyof C]>>
  throw new TerminalError(
    `"${ctx.agent}" cannot choose ${name}: there is no case ${JSON.stringify(chosen)} (known: ${Object.keys(cases).join(", ")}) and no "otherwise"`,
    { code: "WORKFLOW_CASE" },
  )
}
