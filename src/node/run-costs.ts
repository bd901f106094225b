import { z } from "zod"
import type { MurmurEvent } from "../bus/event.js"

/** What an agent's reaction to an event has used of models. */
export interface Reaction {
  readonly agent: string
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number }
  /** In US dollars; `null` where a model has no known price. */
  readonly costUsd: number | null
}

/** What the events about runs are called: they tell of steps, and are not what steps lead to. */
const RUN = "murmur.run."

/** Whether an event tells of a run, and is no effect of it. */
export function isRunEvent({ type }: Pick<MurmurEvent, "type">): boolean {
  return type.startsWith(RUN)
}

const Data = z.object({
  agent: z.string(),
  usage: z.object({ inputTokens: z.number(), outputTokens: z.number() }),
  costMicroUsd: z.number().optional(),
})

/** What a run has used, if its event says so: the last one does. */
export function reactionOf({ data }: Pick<MurmurEvent, "data">): Reaction | undefined {
  const read = Data.safeParse(data)
  if (!read.success) return undefined
  const { agent, usage, costMicroUsd } = read.data
  return { agent, usage, costUsd: costMicroUsd === undefined ? null : costMicroUsd / 1_000_000 }
}

/** Adds what an agent has used once more (another attempt) to what it had used before. */
export function withReaction(reactions: readonly Reaction[], next: Reaction): Reaction[] {
  const before = reactions.find(({ agent }) => agent === next.agent)
  return [...reactions.filter((one) => one !== before), before === undefined ? next : sumOf([before, next], next.agent)]
}

/** All together; money as far as it is known. */
export function sumOf(reactions: readonly Reaction[], agent = ""): Reaction {
  const sum = (read: (reaction: Reaction) => number): number => reactions.reduce((all, one) => all + read(one), 0)
  const known = reactions.some(({ costUsd }) => costUsd !== null)
  return {
    agent,
    usage: { inputTokens: sum(({ usage }) => usage.inputTokens), outputTokens: sum(({ usage }) => usage.outputTokens) },
    costUsd: known ? Math.round(sum(({ costUsd }) => costUsd ?? 0) * 1e6) / 1e6 : null,
  }
}
