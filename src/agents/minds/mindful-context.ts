import { knownModel } from "../../gateways/models/known-model.js"
import type { WholeContext } from "../branch-context.js"
import type { StepContext } from "../context.js"
import type { MindPorts } from "../llm/ports.js"

/** What the node adds to the context of a step for agents that think. */
export interface MindfulContext extends WholeContext {
  /** What the node has to think with; `undefined` where it has none. */
  readonly minds?: Pick<MindPorts, "broker" | "defaultModel" | "overridesOf"> | undefined
  /** Told when notes on a conversation are made. */
  readonly onMemoryUpdate?: ((phase: MemoryPhase) => void) | undefined
}

/** Notes on a conversation are about to be made, or are made. */
export type MemoryPhase = "started" | "completed"

/** A step's context as the runtime knows it. */
export function mindful(ctx: StepContext): MindfulContext {
  return ctx as MindfulContext
}

/** Of a model of which nobody knows anything. */
const WINDOW_UNKNOWN = 8_192

/** The smallest window of the models that may answer: an agent has to fit into each of its fallbacks. */
export function windowOf(
  ctx: Pick<MindfulContext, "minds">,
  models: string | readonly string[] | undefined,
  contextTokens: number | undefined,
): number {
  const names = typeof models === "string" ? [models] : (models ?? [])
  const windows = names.map((name) => windowOfOne(ctx, name))
  return Math.min(contextTokens ?? Number.POSITIVE_INFINITY, ...(windows.length > 0 ? windows : [WINDOW_UNKNOWN]))
}

function windowOfOne({ minds }: Pick<MindfulContext, "minds">, name: string): number {
  try {
    return (minds === undefined ? knownModel(name) : minds.broker.model(name)).contextTokens
  } catch {
    return WINDOW_UNKNOWN // a model that is not there is an error when it is asked, and says so better
  }
}
