import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../../../src/agents/define-agent.js"
import { codeRoutes, withoutPredicates } from "../../../src/agents/routes.js"
import { type AnyEventDefinition, defineEvent } from "../../../src/bus/define-event.js"
import { RouteTable } from "../../../src/router/table.js"

/** What an agent of the simulator has done so far for a key. */
export interface Tally {
  readonly count: number
  /** Of the newest event. */
  readonly last: string
}

/** What an agent records of each event. */
export interface Added {
  readonly id: string
  /** What its calls were answered with, in order. */
  readonly answers: readonly number[]
  /** What a person said, if one was asked. */
  readonly said: string | null
  /** What it has thought: what was said in each conversation, turn by turn. */
  readonly thoughts: readonly (readonly string[])[]
}

const Data = z.object({ known: z.array(z.number()) })

/** What comes from outside. */
export const Given = defineEvent("work.given", Data)
const One = defineEvent("work.one", Data)
const Two = defineEvent("work.two", Data)
const Three = defineEvent("work.three", Data)

/** A chain, with a second way to its end: `one` -> `two` -> `three`, and what is given goes to `three` as well. */
const CHAIN: readonly {
  readonly name: string
  readonly on: AnyEventDefinition[]
  readonly emits: AnyEventDefinition
}[] = [
  { name: "one", on: [Given], emits: One },
  { name: "two", on: [One], emits: Two },
  { name: "three", on: [Given, Two], emits: Three },
]

/** How an agent is made. */
export interface Shape {
  readonly stateful: boolean
  /** `none`: any node handles any event. */
  readonly ordering: "key" | "none"
  readonly partitions: 1 | 8
  /** So that sessions are read again and again. */
  readonly cold: boolean
}

function define(
  { name, on, emits }: (typeof CHAIN)[number],
  { stateful, ordering, partitions, cold }: Shape,
): AgentDefinition {
  return defineAgent(name, {
    on,
    emits: [emits],
    partitions,
    ordering,
    concurrency: 4,
    inflightMax: 20,
    stepTimeoutMs: 20_000,
    retry: { attempts: 3, backoffMs: 200 },
    supervision: { intensity: 3, withinMs: 10_000, quarantineMs: 2_000, quarantineMsMax: 5_000 },
    handle: () => {},
    ...(stateful && {
      state: {
        initial: { count: 0, last: "" } as Tally,
        evolve: { Added: (tally: Tally, { id }: Added): Tally => ({ count: tally.count + 1, last: id }) },
        snapshotEvery: 3,
        warmBytesMax: cold ? 1 : 1_000_000,
      },
    }),
  })
}

const defined = new Map<string, AgentDefinition>()

/** The first agents of the chain, in these shapes. Making an agent takes longer than many a run, so each is made once. */
export function agentsOf(shapes: readonly Shape[]): readonly AgentDefinition[] {
  return shapes.map((shape, at) => {
    const link = CHAIN[at]
    if (link === undefined) throw new Error(`The chain has ${CHAIN.length} agents`)
    const name = JSON.stringify([link.name, shape])
    const known = defined.get(name) ?? define(link, shape)
    defined.set(name, known)
    return known
  })
}

/** What an agent emits. */
export function outputOf(agent: AgentDefinition): AnyEventDefinition {
  const [output] = agent.emits
  if (output === undefined) throw new Error(`${agent.name} emits nothing`)
  return output
}

const full = RouteTable.from(
  codeRoutes(CHAIN.map((link) => define(link, { stateful: false, ordering: "key", partitions: 1, cold: false }))),
)
const plain = withoutPredicates(full)

/** The routing table of every run. */
export const TABLES = { plain: () => plain, full: () => full }
