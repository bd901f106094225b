import { z } from "zod"
import { TerminalError } from "../../errors.js"
import { ANTHROPIC } from "./anthropic.js"
import { GEMINI_MODELS } from "./gemini.js"
import { OLLAMA, OLLAMA_UNKNOWN } from "./ollama.js"
import { OPENAI } from "./openai.js"

/** What a million tokens cost, in US dollars. */
export interface Price {
  readonly inputUsd: number
  readonly outputUsd: number
  /** Input that the provider had in its cache. Default: as other input. */
  readonly cachedInputUsd?: number
  /** What a request costs, all of it, whose input has more tokens than so many. */
  readonly above?: {
    readonly inputTokens: number
    readonly inputUsd: number
    readonly outputUsd: number
    readonly cachedInputUsd?: number
  }
}

/** What is known of a model. Whoever runs murmur may say otherwise, model by model. */
export interface ModelFacts {
  /** Whether it can call tools. */
  readonly tools: boolean
  /** Whether it can see images. */
  readonly images: boolean
  /** Whether its provider holds it to a JSON schema. */
  readonly schema: boolean
  /** How many tokens fit into a request, the answer included. */
  readonly contextTokens: number
  /** How many tokens an answer can have. */
  readonly outputTokens: number
  /** `undefined` where nobody has said it. 0 for a machine of one's own. */
  readonly price: Price | undefined
}

/** A model by its full name. */
export interface KnownModel extends ModelFacts {
  /** `openai/gpt-5-mini`. */
  readonly name: string
  readonly provider: string
  /** As the provider names it. */
  readonly model: string
}

/** What somebody knows better, by `provider/model`, or `provider/*` for all of a provider. The narrower wins. */
export type ModelOverrides = Readonly<Record<string, Partial<ModelFacts>>>

/** Of a model that nobody has described: little room, and no price, so that no budget of money is charged a guess. */
const UNKNOWN: ModelFacts = {
  tools: true,
  images: false,
  schema: false,
  contextTokens: 8_192,
  outputTokens: 4_096,
  price: undefined,
}

/** Scripted models can do all that the script says, and cost nothing. */
const SCRIPTED: ModelFacts = {
  tools: true,
  images: true,
  schema: true,
  contextTokens: 1_000_000,
  outputTokens: 128_000,
  price: { inputUsd: 0, outputUsd: 0 },
}

type Table = Readonly<Record<string, ModelFacts>>
const TABLES: ReadonlyMap<string, Table> = new Map([
  ["openai", OPENAI],
  ["anthropic", ANTHROPIC],
  ["gemini", GEMINI_MODELS],
  ["ollama", OLLAMA],
])
const OF_PROVIDER: ReadonlyMap<string, ModelFacts> = new Map([
  ["ollama", OLLAMA_UNKNOWN],
  ["scripted", SCRIPTED],
])

/** What may follow a model's name and mean the same model: a date, a revision, `latest`, `preview`; a tag of Ollama's. */
const SAME =
  /^(?:-(?:\d{4}-\d{2}-\d{2}|\d{8}|00\d|\d{2}-\d{2}|latest|(?:exp|preview)(?:-\d{2}-(?:\d{2}|\d{4}))?)|-chat-latest|:.+)$/
/** What may follow the name of a family: another model, which can do as much and costs nobody knows what. */
const FAMILY = /^[-:.]/

/**
 * What is known of a model: from the table, and from what the caller knows better. A dated name is the model that it is a
 * version of (`gpt-5-mini-2025-08-07`); a name that only begins like one has its capabilities, and no price.
 *
 * @param name `provider/model`
 * @throws TerminalError `LLM_OPTION` when the name has no provider
 * @example
 * knownModel("openai/gpt-5-mini-2025-08-07").price // { inputUsd: 0.25, outputUsd: 2, cachedInputUsd: 0.025 }
 * knownModel("openai/mine", { "openai/*": { contextTokens: 32_768, price: { inputUsd: 0, outputUsd: 0 } } })
 */
export function knownModel(name: string, overrides: ModelOverrides = {}): KnownModel {
  const slash = name.indexOf("/")
  if (slash < 1 || slash === name.length - 1) {
    throw new TerminalError(
      `Cannot look up model "${name}": a model's name is provider/model, as "openai/gpt-5-mini"`,
      {
        code: "LLM_OPTION",
        details: { model: name },
      },
    )
  }
  const provider = name.slice(0, slash)
  const model = name.slice(slash + 1)
  const facts = tableFacts(provider, model)
  return { ...facts, ...overrides[`${provider}/*`], ...overrideOf(name, overrides), name, provider, model }
}

function tableFacts(provider: string, model: string): ModelFacts {
  const table = TABLES.get(provider) ?? {}
  const same = closest(model, Object.keys(table), SAME)
  const found = same === undefined ? undefined : table[same]
  if (found !== undefined) return found
  const unknown = OF_PROVIDER.get(provider) ?? UNKNOWN
  const family = closest(model, Object.keys(table), FAMILY)
  const relative = family === undefined ? undefined : table[family]
  return relative === undefined ? unknown : { ...relative, price: unknown.price }
}

function overrideOf(name: string, overrides: ModelOverrides): Partial<ModelFacts> | undefined {
  const key = closest(name, Object.keys(overrides), SAME)
  return key === undefined ? undefined : overrides[key]
}

/** The longest of the names that the name is, or begins with, if what follows is allowed to. */
function closest(name: string, names: readonly string[], follows: RegExp): string | undefined {
  let best: string | undefined
  for (const one of names) {
    if (!name.startsWith(one) || (best !== undefined && one.length <= best.length)) continue
    if (name.length === one.length || follows.test(name.slice(one.length))) best = one
  }
  return best
}

const Usd = z.number().min(0).max(1_000_000)
const Rates = { inputUsd: Usd, outputUsd: Usd, cachedInputUsd: Usd.optional() }
const PriceInput = z.strictObject({
  ...Rates,
  above: z.strictObject({ inputTokens: z.int().min(1), ...Rates }).optional(),
})
const FactsInput = z.strictObject({
  tools: z.boolean().optional(),
  images: z.boolean().optional(),
  schema: z.boolean().optional(),
  contextTokens: z.int().min(1).optional(),
  outputTokens: z.int().min(0).optional(),
  price: PriceInput.optional(),
})
const OverridesInput = z.record(z.string(), FactsInput).superRefine((overrides, check) => {
  for (const key of Object.keys(overrides)) {
    if (/^[^/]+\/.+$/.test(key)) continue
    check.addIssue({ code: "custom", path: [key], message: "a key is provider/model, or provider/*" })
  }
})

/**
 * Checks what a caller says of models: once, when they are given.
 *
 * @throws TerminalError `LLM_OPTION` for a key that is no model's name, an unknown fact, or one that is out of range
 */
export function checkModelOverrides(overrides: unknown): ModelOverrides {
  const read = OverridesInput.safeParse(overrides)
  if (read.success) return read.data as ModelOverrides
  throw new TerminalError(`Cannot use these facts about models: ${z.prettifyError(read.error)}`, {
    code: "LLM_OPTION",
    details: { issues: read.error.issues.map(({ path, message }) => ({ path: path.map(String), message })) },
  })
}
