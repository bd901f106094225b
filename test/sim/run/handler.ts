import type { StepContext } from "../../../src/agents/context.js"
import type { AgentDefinition } from "../../../src/agents/define-agent.js"
import { journalSubject } from "../../../src/agents/journal/records.js"
import type { MurmurEvent } from "../../../src/bus/event.js"
import { TerminalError } from "../../../src/errors.js"
import type { Process } from "../world/process.js"
import { type Added, outputOf, type Tally } from "./agents.js"
import type { SimMesh } from "./mesh.js"
import { mindOf } from "./mind-plan.js"
import { planOf } from "./plan.js"
import { thinking } from "./thinking.js"

type Handle = (event: MurmurEvent, ctx: StepContext) => Promise<void>

/** What an agent does with an event on a node: paid calls, a sleep, failures, an entry, outputs, as its plan says. */
export function handlerOf(mesh: SimMesh, process: Process, agent: AgentDefinition): Handle {
  const { world, bill, names } = mesh
  const think = thinking(mesh, process)
  return async (event, ctx) => {
    world.note(process.name, () => `${agent.name} begins ${event.id}, attempt ${ctx.attempt}`)
    const plan = planOf(mesh.options.seed, agent.name, event.id, mesh.options.plans)
    const subject = journalSubject(names.mesh, agent.name, event.id)
    const pay = (at: number): Promise<number> =>
      ctx.run(`call ${at}`, async () => {
        const answer = bill.charge(process.name, subject, `call ${at}`)
        await process.clock.delay(plan.calls[at] ?? 0)
        return answer
      })
    const failNow = (): void => {
      if (plan.fails === "for-good") throw new TerminalError("on purpose, for good", { code: "ON_PURPOSE" })
      if (plan.fails === "always" || (plan.fails === "sometimes" && world.random.chance(0.5)))
        throw new Error("on purpose")
    }
    const answers: number[] = []
    let said: string | null = null
    const mind = mindOf(mesh.options.seed, agent.name, event.id, mesh.options.plans)
    const thoughts: string[][] = []
    for (let at = 0; at <= plan.calls.length; at++) {
      if (plan.sleepsBefore === at) await ctx.sleep(plan.sleepMs)
      if (plan.asksBefore === at) {
        said = await ctx.ask("Shall I?", { choices: ["yes", "no"], default: "no", timeoutMs: plan.askTimeoutMs })
      }
      if (Math.min(mind.before, plan.calls.length) === at) {
        thoughts.push(...(await think(mind, { agent: agent.name, event: event.id }, ctx)))
      }
      if (plan.failsBefore === at) failNow()
      if (at === plan.calls.length || answers.length > at) continue
      if (at === 0 && plan.sideBySide) answers.push(...(await Promise.all([pay(0), pay(1)])))
      else answers.push(await pay(at))
    }
    const added: Added = { id: event.id, answers, said, thoughts }
    if (agent.state !== undefined) ctx.record("Added", added)
    // what it emits tells what it knew: of two runs of a step one may know more
    const known = [...answers, agent.state === undefined ? 0 : (ctx.state as Tally).count]
    for (const key of plan.emits) ctx.emit(outputOf(agent)({ known }, key === undefined ? {} : { key }))
    mesh.returned.add(`${agent.name} ${event.id}`)
    world.note(process.name, () => `${agent.name} returns from ${event.id}`)
  }
}
