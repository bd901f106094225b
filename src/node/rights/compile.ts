import { eventDurables, inboxDurableName } from "../../agents/host.js"
import { fitsPattern, JS_API, USER_INFO } from "../../bus/rights.js"
import { encodeKey, MeshNames } from "../../bus/subjects.js"
import type { AgentNeeds, NodeDeclaration, SourceNeeds } from "./declaration.js"
import { checkRights } from "./invariants.js"

/** What the user of a node may do, by allow-lists alone: what is not in them is refused. */
export interface CompiledRights {
  /** Subjects of the mesh's account, requests to its JetStream API included. Sorted; none contains another. */
  readonly publish: readonly string[]
  /** Its own replies; empty while no user is named. */
  readonly subscribe: readonly string[]
}

/** What every node reads. */
const READ_BUCKETS = ["catalogue", "presence", "routes", "settings", "sources", "questions", "guards"]
const MODEL_BUCKETS = ["llm-limits", "llm-cache"]

/**
 * The rights that a node needs to host what is declared, and no others.
 *
 * @param user public nkey of its user, under which its replies come
 * @throws MurmurError `RIGHTS_REFUSED` when they would let it do what no node may; `NAME_INVALID`
 * @example
 * const { publish } = compileRights(new MeshNames("murmur"), declarationOf(await new Loader(["agents"]).load()))
 */
export function compileRights(names: MeshNames, declaration: NodeDeclaration, user?: string): CompiledRights {
  const compiler = new Compiler(new MeshNames(names.mesh, "agent"))
  const publish = minimal(compiler.node(declaration))
  const rights = { publish, subscribe: user === undefined ? [] : [`_INBOX_${user}.>`] }
  checkRights(names.mesh, declaration, rights)
  return rights
}

class Compiler {
  readonly #mesh: string

  constructor(private readonly names: MeshNames) {
    this.#mesh = names.mesh
  }

  node({ agents, sources, intake = false }: NodeDeclaration): string[] {
    const minds = agents.some(({ behaviour }) => behaviour === "handle")
    const tools = agents.some((agent) => agent.tools)
    return [
      USER_INFO,
      ...this.#reads(this.names.events), // after a crash: what was published, what an event was
      ...READ_BUCKETS.flatMap((name) => this.#readBucket(name)),
      `$KV.${this.#mesh}_presence.*`,
      ...(agents.length > 0 ? this.#guards() : []),
      ...(minds ? this.#minds() : []),
      ...(tools ? this.#toolServices() : []),
      ...agents.flatMap((agent) => this.#agent(agent)),
      ...sources.flatMap((source) => this.#source(source)),
      ...(intake ? [`${this.#mesh}.ev.http.>`] : []),
    ]
  }

  #agent(agent: AgentNeeds): string[] {
    const { name, emits, partitions, behaviour, trims } = agent
    const { events, timers } = this.names
    const sessions = this.names.sessionsOf(name)
    const steps = this.names.stepsOf(name)
    return [
      ...emits.map((type) => `${this.#mesh}.ev.${name}.*.${type}`),
      ...["ses", "step", "dead"].map((kind) => `${this.#mesh}.${kind}.${name}.>`),
      ...[sessions, steps].flatMap((stream) => this.#reads(stream)),
      ...(trims ? [`${JS_API}.STREAM.PURGE.${sessions}`] : []),
      ...eventDurables(agent).flatMap((durable) => this.#consume(events, durable)),
      ...this.#told(name),
      ...(behaviour === "react" ? [] : this.#handler(name)),
      ...(behaviour === "react"
        ? []
        : Array.from({ length: partitions }, (_, n) => inboxDurableName(name, partitions, n)).flatMap((durable) =>
            this.#consume(events, durable),
          )),
      ...(behaviour === "react" ? [] : this.#consume(timers, `wake=${name}`)),
    ]
  }

  /** What only a step does: it tells of its runs, gives tasks and answers them, asks people, sleeps. */
  #handler(agent: string): string[] {
    const own = `${this.#mesh}.ev.${agent}.*`
    const mesh = `${this.#mesh}.ev.murmur.*`
    return [
      ...["run", "task", "inbox"].map((kind) => `${own}.murmur.${kind}.*`),
      `${mesh}.murmur.inbox.${agent}`,
      ...["asked", "answered"].map((what) => `${mesh}.murmur.question.${what}`),
      `$KV.${this.#mesh}_questions.*`,
      `${this.#mesh}.timer.${agent}.>`,
    ]
  }

  /** What is told of an agent, with its name as the key. */
  #told(agent: string): string[] {
    const about = `${this.#mesh}.ev.murmur.${encodeKey(agent)}.murmur`
    return [
      ...["agent.quarantined", "agent.recovered", "guard.tripped", "guard.warned"].map((what) => `${about}.${what}`),
      `${this.#mesh}.ev.${agent}.*.murmur.rights.denied`,
      ...["agent", "agent-day"].map((account) => `${this.#mesh}.usage.${account}.${encodeKey(agent)}.>`),
    ]
  }

  #guards(): string[] {
    const { budgets, usage } = this.names
    return [
      `${this.#mesh}.budget.>`,
      ...["day", "month"].map((account) => `${this.#mesh}.usage.${account}.>`),
      ...[budgets, usage].map((stream) => `${JS_API}.STREAM.MSG.GET.${stream}`),
      `$KV.${this.#mesh}_guards.told.*`, // what was granted to a tree is an operator's to write
    ]
  }

  #minds(): string[] {
    return MODEL_BUCKETS.flatMap((name) => [...this.#readBucket(name), `$KV.${this.#mesh}_${name}.>`])
  }

  #toolServices(): string[] {
    const store = `${this.#mesh}_ARTIFACTS`
    return [
      ...this.#readBucket("MEMOS"),
      `$KV.${this.#mesh}_MEMOS.>`,
      ...this.#reads(`OBJ_${store}`),
      `${JS_API}.STREAM.INFO.OBJ_${store}`,
      `${JS_API}.DIRECT.GET.OBJ_${store}.>`,
      `$O.${store}.C.>`,
      `$O.${store}.M.>`,
    ]
  }

  #source({ name, emits }: SourceNeeds): string[] {
    const { timers } = this.names
    return [
      ...emits.map((type) => `${this.#mesh}.ev.${name}.*.${type}`),
      `${this.#mesh}.ev.${name}.*.murmur.rights.denied`,
      `$KV.${this.#mesh}_sources.${name}.>`,
      `${this.#mesh}.timer.${name}.>`,
      ...["timer", "due"].map((kind) => `${JS_API}.DIRECT.GET.${timers}.${this.#mesh}.${kind}.${name}.>`),
      ...this.#consume(timers, `due_${name}`),
    ]
  }

  #consume(stream: string, durable: string): string[] {
    const requests = ["INFO", "MSG.NEXT", "RESET", "UNPIN"]
    return [
      ...requests.map((what) => `${JS_API}.CONSUMER.${what}.${stream}.${durable}`),
      `$JS.ACK.${stream}.${durable}.>`,
    ]
  }

  #reads(stream: string): string[] {
    return [`${JS_API}.STREAM.MSG.GET.${stream}`, `${JS_API}.DIRECT.GET.${stream}`]
  }

  #readBucket(name: string): string[] {
    const stream = `KV_${this.#mesh}_${name}`
    return [`${JS_API}.STREAM.INFO.${stream}`, ...this.#reads(stream), `${JS_API}.DIRECT.GET.${stream}.>`]
  }
}

/** Without what another subject contains: a request that came by two imports would be made twice. */
function minimal(subjects: readonly string[]): string[] {
  const all = [...new Set(subjects)].sort()
  return all.filter((subject) => !all.some((other) => other !== subject && fitsPattern(other, subject)))
}
