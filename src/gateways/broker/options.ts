import { z } from "zod"
import { noTelemetry, type Observe, type Telemetry } from "../../telemetry/ports.js"
import type { Gateway } from "../gateway.js"
import { checkModelOverrides, type ModelOverrides } from "../models/known-model.js"
import { type BrokerClock, systemClock, TIMER_MS_MAX } from "./clock.js"
import { LocalLimiter } from "./local-limiter.js"
import { type Aliases, checkAliases } from "./model-names.js"
import type { RateLimiter, RateLimits, ResponseCache } from "./ports.js"
import { badOption, issuesText } from "./refusals.js"

/** What a provider may be asked for. Without it, as much as 64 calls at a time do. */
export interface ProviderLimits extends RateLimits {
  /** How many requests run at a time; the others wait. Default 64. */
  readonly concurrency?: number
}

/** When a request that failed is sent again. */
export interface BrokerRetryOptions {
  /** How often a model is asked in all, the first time included. Default 4. */
  readonly tries?: number
  /** The second try comes after 0 to so many milliseconds, by chance; each later one after up to twice as many. Default 500. */
  readonly backoffMs?: number
  /** The longest of these waits, and how long a call that has another model waits for one that says "later". Default 20_000. */
  readonly backoffMsMax?: number
  /** How long a call waits in all for a provider that says when to come back, which counts as no try. Default 600_000. */
  readonly busyMsMax?: number
}

/** When a provider that fails is left alone. */
export interface BrokerCircuitOptions {
  /** So many failures in a row. Default 5. */
  readonly failures?: number
  /** For so long, in milliseconds, unless it says itself when to come back. Then one call tries it. Default 30_000. */
  readonly openMs?: number
}

/** How a broker is made. */
export interface BrokerOptions {
  /** At least one; each with a name of its own. */
  readonly gateways: readonly Gateway[]
  /** Other names for models, or for several in the order in which they are tried. */
  readonly aliases?: Readonly<Record<string, string | readonly string[]>>
  /** What is known better of models: prices, windows, what they can do. */
  readonly models?: ModelOverrides
  /** By provider. */
  readonly limits?: Readonly<Record<string, ProviderLimits>>
  /** Keeps the limits. Default: a {@link LocalLimiter}, for this process alone. */
  readonly limiter?: RateLimiter
  /** Default: none. */
  readonly cache?: ResponseCache
  /** How long answers are kept in the cache, unless the request says otherwise, in milliseconds. Default 0: not. */
  readonly cacheMs?: number
  readonly retry?: BrokerRetryOptions
  readonly circuit?: BrokerCircuitOptions
  /** How long one request to a provider may take, in milliseconds, unless the request says otherwise. Default 120_000. */
  readonly timeoutMs?: number
  /** How long a streamed answer may stop between two pieces, in milliseconds. Default 30_000. */
  readonly idleMs?: number
  /** How many calls may wait for one provider. Default 10_000. */
  readonly waitingMax?: number
  /** Default: none. */
  readonly telemetry?: Telemetry
  /** Registers gauges: circuits, calls that run and wait. */
  readonly observe?: Observe
  /**
   * Whether spans carry what was asked and answered. Default: whether `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`
   * is `true`.
   */
  readonly captureContent?: boolean
  readonly clock?: BrokerClock
  /** From 0 to 1, for the chance in waits. */
  readonly random?: () => number
}

/** The options with all defaults. */
export interface BrokerSettings {
  readonly gateways: readonly Gateway[]
  readonly aliases: Aliases
  readonly models: ModelOverrides
  readonly limits: Readonly<Record<string, ProviderLimits>>
  readonly limiter: RateLimiter
  readonly cache: ResponseCache | undefined
  readonly cacheMs: number
  readonly retry: Required<BrokerRetryOptions>
  readonly circuit: Required<BrokerCircuitOptions>
  readonly timeoutMs: number
  readonly idleMs: number
  readonly waitingMax: number
  readonly telemetry: Telemetry
  readonly observe: Observe | undefined
  readonly captureContent: boolean
  readonly clock: BrokerClock
  readonly random: () => number
}

const CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

const Duration = z.int().min(1).max(TIMER_MS_MAX)
const Count = z.int().min(1).max(1_000_000)
const having = <T>(what: string, ...methods: string[]) =>
  z.custom<T>(
    (value) => methods.every((name) => typeof (value as Record<string, unknown> | null)?.[name] === "function"),
    {
      error: `must be ${what} (with ${methods.join(", ")})`,
    },
  )

const Options = z.strictObject({
  gateways: z
    .array(having<Gateway>("a gateway", "complete", "completeObject", "stream", "embed", "models"))
    .min(1, "needs at least one gateway"),
  aliases: z.record(z.string(), z.union([z.string(), z.array(z.string()).min(1)])).default({}),
  models: z.unknown().optional(),
  limits: z
    .record(
      z.string(),
      z.strictObject({
        requestsPerMinute: z.int().min(1).optional(),
        tokensPerMinute: z.int().min(1).optional(),
        concurrency: Count.optional(),
      }),
    )
    .default({}),
  limiter: having<RateLimiter>("a rate limiter", "take", "holdOff", "heldUntilMs").optional(),
  cache: having<ResponseCache>("a response cache", "get", "put").optional(),
  cacheMs: z.int().min(0).default(0),
  retry: z
    .strictObject({
      tries: z.int().min(1).max(100).default(4),
      backoffMs: z.int().min(0).max(TIMER_MS_MAX).default(500),
      backoffMsMax: z.int().min(0).max(TIMER_MS_MAX).default(20_000),
      busyMsMax: z.int().min(0).max(TIMER_MS_MAX).default(600_000),
    })
    .prefault({}),
  circuit: z.strictObject({ failures: Count.default(5), openMs: Duration.default(30_000) }).prefault({}),
  timeoutMs: Duration.default(120_000),
  idleMs: Duration.default(30_000),
  waitingMax: Count.default(10_000),
  telemetry: z
    .custom<Telemetry>((value) => {
      const { log, tracing, metrics } = (value ?? {}) as Partial<Telemetry>
      return log !== undefined && tracing !== undefined && metrics !== undefined
    }, "must have log, tracing and metrics")
    .default(noTelemetry),
  observe: z.custom<Observe>((value) => typeof value === "function", "must be a function").optional(),
  captureContent: z.boolean().optional(),
  clock: having<BrokerClock>("a clock", "now", "steady", "after").default(systemClock),
  random: z
    .custom<() => number>((value) => typeof value === "function", "must be a function")
    .default(() => Math.random),
})

/**
 * Checks all options and fills in the defaults.
 *
 * @throws TerminalError `LLM_OPTION`
 */
export function checkOptions(options: BrokerOptions): BrokerSettings {
  const read = Options.safeParse(options)
  if (!read.success) throw badOption("create broker", issuesText(read.error.issues))
  const { data } = read
  const providers = data.gateways.map(({ provider }) => provider)
  checkProviders(providers)
  tellStrangers(providers, Object.keys(data.limits), data.telemetry)
  return {
    ...data,
    aliases: checkAliases(data.aliases),
    models: checkModelOverrides(data.models ?? {}),
    limits: data.limits as BrokerSettings["limits"],
    limiter: data.limiter ?? new LocalLimiter({ clock: data.clock }),
    cache: data.cache,
    observe: data.observe,
    captureContent: data.captureContent ?? process.env[CAPTURE]?.trim().toLowerCase() === "true",
  }
}

function checkProviders(providers: readonly string[]): void {
  const twice = providers.find((provider, at) => providers.indexOf(provider) !== at)
  if (twice === undefined) return
  throw badOption(
    "create broker",
    `each gateway needs a name of its own, "${twice}" is there twice. Give one another "provider"`,
  )
}

/** Limits may be said for all of a mesh, where this machine has no key for some: told, in case it was a slip of the pen. */
function tellStrangers(providers: readonly string[], limited: readonly string[], { log }: Telemetry): void {
  for (const provider of limited.filter((name) => !providers.includes(name))) {
    log.warn({ provider, providers }, "There are limits for a provider of models that has no gateway here")
  }
}
