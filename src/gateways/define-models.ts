import { z } from "zod"
import { MurmurError } from "../errors.js"
import type { BrokerCircuitOptions, BrokerRetryOptions } from "./broker/options.js"
import type { RateLimits } from "./broker/ports.js"
import { CompletionOptions } from "./completion.js"
import type { Gateway } from "./gateway.js"
import { checkModelOverrides, type ModelFacts } from "./models/known-model.js"

const MODELS = Symbol.for("murmur.models")

/** What a deployment says otherwise than an agent's own definition. */
export interface AgentOverrides {
  readonly model?: string | readonly string[] | undefined
  readonly instructions?: string | undefined
  readonly llm?: CompletionOptions | undefined
}

/** Which models a mesh thinks with, and how. Everything is optional. */
export interface ModelsOptions {
  /** Besides those that the environment names (`OPENAI_API_KEY`, `OLLAMA_HOST`, ...); of one provider the one given here. */
  readonly gateways?: readonly Gateway[]
  /** For agents that name no model: `provider/model` or an alias; several in the order in which they are tried. */
  readonly default?: string | readonly string[]
  /** Names of your own for models, or for chains of them. */
  readonly aliases?: Readonly<Record<string, string | readonly string[]>>
  /** How much of a provider may be used, by one key, by all nodes together; and how many requests a node has open. */
  readonly limits?: Readonly<Record<string, RateLimits & { readonly concurrency?: number }>>
  /** What is known of models otherwise than murmur knows it: prices, windows, what they can do. By full name. */
  readonly models?: Readonly<Record<string, Partial<ModelFacts>>>
  /** Answer the same request from the mesh's cache for so long, in milliseconds. Default 0: not. */
  readonly cacheMs?: number
  /** How long one request to a provider may take, in milliseconds. Default 120_000. */
  readonly timeoutMs?: number
  /** How long a streamed answer may stop between two pieces, in milliseconds. Default 30_000. */
  readonly idleMs?: number
  /** When a request that failed is sent again. */
  readonly retry?: BrokerRetryOptions
  /** When a provider that fails is left alone. */
  readonly circuit?: BrokerCircuitOptions
  /** Whether run events (`murmur.run.*`) hold what models say. Default true. */
  readonly tellContent?: boolean
  /** What this deployment says otherwise than agents do themselves, by their names. */
  readonly agents?: Readonly<Record<string, AgentOverrides>>
}

/** What {@link defineModels} returns. */
export type ModelsDefinition = ModelsOptions

const Names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])
const Provider = z.record(
  z.string(),
  z.strictObject({
    requestsPerMinute: z.int().min(1).optional(),
    tokensPerMinute: z.int().min(1).optional(),
    concurrency: z.int().min(1).optional(),
  }),
)
const Overrides = z.strictObject({
  model: Names.optional(),
  instructions: z.string().min(1).optional(),
  llm: CompletionOptions.optional(),
})
const isGateway = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "provider" in value && "complete" in value
const Options = z.strictObject({
  gateways: z.array(z.custom<Gateway>(isGateway, "must be a gateway, such as openai() or scripted(...)")).optional(),
  default: Names.optional(),
  aliases: z.record(z.string(), Names).optional(),
  limits: Provider.optional(),
  models: z.unknown().optional(),
  cacheMs: z.int().min(0).optional(),
  timeoutMs: z.int().min(1).optional(),
  idleMs: z.int().min(1).optional(),
  retry: z
    .strictObject({
      tries: z.int().min(1).max(100).optional(),
      backoffMs: z.int().min(0).optional(),
      backoffMsMax: z.int().min(0).optional(),
      busyMsMax: z.int().min(0).optional(),
    })
    .optional(),
  circuit: z.strictObject({ failures: z.int().min(1).optional(), openMs: z.int().min(1).optional() }).optional(),
  tellContent: z.boolean().optional(),
  agents: z.record(z.string(), Overrides).optional(),
})

/**
 * Says which models the agents of a mesh think with. To be exported by one of the files that `murmur up` is given; without
 * it there are the providers that the environment names.
 *
 * @throws MurmurError `MODELS_OPTION`, `LLM_OPTION` (which, wanted and found)
 * @example
 * export default defineModels({
 *   default: "quick",
 *   aliases: { quick: ["openai/gpt-5-mini", "ollama/qwen3:8b"] },
 *   limits: { openai: { requestsPerMinute: 500, tokensPerMinute: 200_000 } },
 * })
 */
export function defineModels(options: ModelsOptions): ModelsDefinition {
  const checked = Options.safeParse(options)
  if (!checked.success) {
    const [issue] = checked.error.issues
    throw new MurmurError(`Cannot define models: ${issue?.path.join(".") || "the options"}: ${issue?.message}`, {
      code: "MODELS_OPTION",
      details: { issues: checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message })) },
    })
  }
  checkModelOverrides(options.models ?? {})
  return Object.defineProperty({ ...options }, MODELS, { value: true })
}

/** Whether `value` came from {@link defineModels} (also of another loaded copy of murmur). */
export function isModels(value: unknown): value is ModelsDefinition {
  return typeof value === "object" && value !== null && MODELS in value
}
