import type { AgentOverrides } from "../../gateways/define-models.js"
import { type KnownModel, knownModel } from "../../gateways/models/known-model.js"
import type { WholeContext } from "../branch-context.js"
import type { StepContext } from "../context.js"
import type { CheckedMind } from "../mind-options.js"

/** Notes on a conversation are about to be made, or are made. */
export type MemoryPhase = "started" | "completed"

/** What the node adds to the context of a step for agents that think. */
export interface MindfulContext extends WholeContext {
  /** What the agent's deployment makes of its mind. */
  readonly mind: DeployedMind
  /** Told when notes on a conversation are made. */
  onMemoryUpdate(phase: MemoryPhase): void
}

/** A step's context as the runtime knows it. */
export function mindful(ctx: StepContext): MindfulContext {
  return ctx as MindfulContext
}

/** What of an agent's mind its deployment decides. Plain JSON. */
export interface DeployedMind {
  /** In place of the agent's own. */
  readonly instructions?: string
  /** Of the models that may answer, the smallest window, in tokens. */
  readonly windowTokens: number
  /** How long answers may be, when that is said. */
  readonly answerTokens?: number
  /** How large a context its models are loaded with, when that is said. */
  readonly contextTokens?: number
}

/** Who knows models and overrides. */
export interface MindSource {
  readonly broker: { model(name: string): KnownModel }
  readonly defaultModel: string | readonly string[] | undefined
  overridesOf(agent: string): AgentOverrides | undefined
}

/** Of a model of which nobody knows anything. */
const WINDOW_UNKNOWN = 8_192

/** What a deployment makes of an agent's mind. @param minds `undefined` where the node has none */
export function deployedMind(
  { name, model, llm }: Pick<CheckedMind, "model" | "llm"> & { readonly name: string },
  minds: MindSource | undefined,
): DeployedMind {
  const overrides = minds?.overridesOf(name)
  const { maxTokens, contextTokens } = { ...llm, ...overrides?.llm }
  const models = overrides?.model ?? model ?? minds?.defaultModel ?? []
  const windows = [models].flat().map((one) => windowOf(one, minds))
  const window = Math.min(contextTokens ?? Number.POSITIVE_INFINITY, ...windows)
  return {
    ...(overrides?.instructions !== undefined && { instructions: overrides.instructions }),
    windowTokens: Number.isFinite(window) ? window : WINDOW_UNKNOWN,
    ...(maxTokens !== undefined && { answerTokens: maxTokens }),
    ...(contextTokens !== undefined && { contextTokens }),
  }
}

function windowOf(model: string, minds: MindSource | undefined): number {
  try {
    return (minds === undefined ? knownModel(model) : minds.broker.model(model)).contextTokens
  } catch {
    return WINDOW_UNKNOWN // a model that is not there is an error when it is asked, and says so better
  }
}
