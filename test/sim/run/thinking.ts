import { z } from "zod"
import type { StepContext } from "../../../src/agents/context.js"
import { journalSubject } from "../../../src/agents/journal/records.js"
import type { StepTool } from "../../../src/agents/llm/step-tool.js"
import { defineTool } from "../../../src/agents/tools/define-tool.js"
import type { AnyTool } from "../../../src/agents/tools/tool.js"
import type { TextAnswer } from "../../../src/gateways/llm/llm.js"
import type { Process } from "../world/process.js"
import type { SimMesh } from "./mesh.js"
import type { Conversation, MindPlan } from "./mind-plan.js"
import type { Receipt, Topic } from "./sim-model.js"

const Given = z.object({ agent: z.string(), event: z.string(), call: z.string(), ms: z.number() })
type Given = z.infer<typeof Given>

/** Has a handler think. @returns what was said in each conversation, turn by turn */
export type Think = (plan: MindPlan, topic: Omit<Topic, "conversation">, ctx: StepContext) => Promise<string[][]>

/** How agents think on a node. */
export function thinking(mesh: SimMesh, process: Process): Think {
  const tools = toolsOf(mesh, process)
  const converse = async (ctx: StepContext, topic: Topic, { atATime }: Conversation): Promise<string[]> => {
    const answer = await ctx.llm.text(JSON.stringify(topic), { tools, toolConcurrency: atATime })
    return said(answer)
  }
  return async ({ conversations, how, failsBesideMs }, topic, ctx) => {
    const works = conversations.map((each, conversation) => async (own: StepContext): Promise<string[]> => {
      if (how === "branches") await own.run(`before ${conversation}`, () => conversation)
      return converse(own, { ...topic, conversation }, each)
    })
    if (how === "in-turn") {
      const all: string[][] = []
      for (const work of works) all.push(await work(ctx))
      return all
    }
    const beside = async (): Promise<void> => {
      if (failsBesideMs === undefined) return
      await process.clock.delay(failsBesideMs)
      if (mesh.world.random.chance(0.5)) throw new Error("on purpose, beside")
    }
    const branches = works.map((work) => ({ work, own: how === "branches" ? ctx.branch() : undefined }))
    const thoughts = branches.map(({ work, own }) => work(own ?? ctx))
    await Promise.all([...thoughts, beside()])
    for (const { own } of branches) own?.end()
    return Promise.all(thoughts)
  }
}

/** The model's words, and what its tools were answered. */
function said({ messages }: TextAnswer): string[] {
  return messages.map(({ content }) => String(content))
}

function toolsOf(mesh: SimMesh, process: Process): readonly (AnyTool | StepTool)[] {
  const subjectOf = ({ agent, event }: Given): string => journalSubject(mesh.names.mesh, agent, event)
  const outside = (name: "look" | "pay", effect: "read" | "idempotent"): AnyTool =>
    defineTool({
      name,
      description: name,
      input: Given,
      effect,
      run: async (given, { signal }): Promise<Receipt> => {
        const invoice = mesh.bill.begin(process.name, subjectOf(given), given.call)
        await process.clock.delay(given.ms, signal)
        invoice.end()
        signal.throwIfAborted()
        if (mesh.options.plans.fails && mesh.world.random.chance(name === "look" ? 0.3 : 0.05)) {
          throw new Error(`dark: ${given.call}`)
        }
        return { call: given.call, number: invoice.number }
      },
    })
  const own = (name: string, run: (given: Given, ctx: StepContext) => Promise<unknown>): StepTool => ({
    ...{ kind: "step", name, description: name, input: Given },
    run: (given, ctx) => run(given as Given, ctx),
  })
  return [
    outside("look", "read"),
    outside("pay", "idempotent"),
    own("ask", (_, ctx) => ctx.ask("Shall it?", { choices: ["yes", "no"], default: "no", timeoutMs: 3_000 })),
    own("twice", async (given, ctx) => {
      const pay = (n: number): Promise<number> =>
        ctx.run(`${given.call} ${n}`, () => mesh.bill.charge(process.name, subjectOf(given), `${given.call} ${n}`))
      return { first: await pay(1), second: await pay(2) }
    }),
  ]
}
