import { Random } from "../world/random.js"

/** A tool call that a model asks for. `pay` and `look` are calls into the world, the others are the step's own. */
export interface PlannedCall {
  readonly tool: "look" | "pay" | "ask" | "twice"
  readonly ms: number
}

/** What is said in one conversation: how long the model takes for each turn, and what it calls. The last one calls nothing. */
export interface Conversation {
  readonly turns: readonly { readonly ms: number; readonly calls: readonly PlannedCall[] }[]
  readonly atATime: number
}

/** How a step thinks: it follows from the seed, the agent and the event alone. */
export interface MindPlan {
  readonly conversations: readonly Conversation[]
  readonly how: "in-turn" | "side-by-side" | "branches"
  /** It thinks before this call of its plan. */
  readonly before: number
  /** Models and tools that only read fail now and then. */
  readonly flaky: boolean
  /** Something beside the conversations may fail after so long, while they go on. */
  readonly failsBesideMs: number | undefined
}

const NONE: MindPlan = { conversations: [], how: "in-turn", before: -1, flaky: false, failsBesideMs: undefined }

/** How wild the minds of a run are. */
export interface MindOptions {
  readonly thinks: boolean
  readonly waits: boolean
  readonly fails: boolean
}

/** How the step of an agent for an event thinks. */
export function mindOf(seed: string, agent: string, eventId: string, options: MindOptions): MindPlan {
  const random = new Random(`mind ${seed} ${agent} ${eventId}`)
  if (!options.thinks || random.chance(0.3)) return NONE
  return {
    conversations: Array.from({ length: random.pick([1, 1, 2, 3]) }, () => conversationOf(random, options)),
    how: random.pick(["in-turn", "side-by-side", "branches"]),
    before: random.pick([0, 0, 1]),
    flaky: options.fails && random.chance(0.3),
    failsBesideMs: options.fails && random.chance(0.3) ? random.pick([0, 30, 300]) : undefined,
  }
}

function conversationOf(random: Random, { waits }: MindOptions): Conversation {
  const calls = (): PlannedCall[] =>
    Array.from({ length: random.pick([1, 1, 2, 3]) }, () => ({ tool: toolOf(random, waits), ms: durationOf(random) }))
  const turns = Array.from({ length: random.pick([0, 1, 1, 2]) }, () => ({ ms: durationOf(random), calls: calls() }))
  return { turns: [...turns, { ms: durationOf(random), calls: [] }], atATime: random.pick([1, 2, 8]) }
}

function toolOf(random: Random, waits: boolean): PlannedCall["tool"] {
  const tool = random.pick(["look", "look", "pay", "twice", "ask"] as const)
  return tool === "ask" && !waits ? "look" : tool
}

function durationOf(random: Random): number {
  return random.pick([1, 20, 100, 1_000]) * random.between(0.5, 1.5)
}
