import { z } from "zod"
import { ApiKey, BaseUrl, checkOptions, HeaderValues, ProviderName, TimerMs } from "../http/gateway-options.js"

/** How OpenAI, or a server that is compatible with it, is reached. Unknown options are errors. */
export const OpenAiOptions = z
  .strictObject({
    /** Default: the environment's `OPENAI_API_KEY`, for the provider `openai` only. A server of one's own may need none. */
    apiKey: ApiKey.optional(),
    /**
     * With its version: `http://127.0.0.1:8000/v1`. Default: the environment's `OPENAI_BASE_URL`, for the provider `openai`
     * only, else OpenAI itself. Another provider has to name it.
     */
    baseURL: BaseUrl.optional(),
    organization: z.string().min(1).optional(),
    project: z.string().min(1).optional(),
    /** The first part of model names. Default `openai`; name a compatible server otherwise: `vllm`, `lmstudio`. */
    provider: ProviderName.default("openai"),
    /** Sent with every request. */
    headers: HeaderValues.default({}),
    /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
    idleTimeoutMs: TimerMs.optional(),
    /**
     * What the server calls the bound of an answer. Default: `max_completion_tokens` at OpenAI itself, which knows the other
     * one for old models only; `max_tokens` with a `baseURL`, since most compatible servers know no other.
     */
    maxTokensField: z.enum(["max_completion_tokens", "max_tokens"]).optional(),
  })
  .refine(({ provider, baseURL }) => provider === "openai" || baseURL !== undefined, {
    path: ["baseURL"],
    message: "another provider than openai has to say where it is",
  })
export type OpenAiOptions = z.input<typeof OpenAiOptions>

/** What a gateway to OpenAI works with: options and environment, settled. */
export interface OpenAiSettings {
  readonly provider: string
  readonly apiKey: string | undefined
  /** Without a slash at its end. */
  readonly baseURL: string
  readonly organization: string | undefined
  readonly project: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number | undefined
  readonly maxTokensField: "max_completion_tokens" | "max_tokens"
}

/** Where OpenAI itself is. */
export const OPENAI_URL = "https://api.openai.com/v1"

/**
 * Joins options and environment; keys of OpenAI are given to no other provider.
 *
 * @throws TerminalError `LLM_OPTION` when what the environment says is no key, or no address
 */
export function settle(options: z.output<typeof OpenAiOptions>, env: NodeJS.ProcessEnv): OpenAiSettings {
  const { provider, headers, organization, project, idleTimeoutMs } = options
  const own = provider === "openai"
  const fallback = own ? fromEnvironment(env, options) : {}
  const baseURL = options.baseURL ?? fallback.OPENAI_BASE_URL ?? OPENAI_URL
  const atOpenAi = baseURL.startsWith(OPENAI_URL)
  return {
    ...{ provider, headers, idleTimeoutMs },
    apiKey: options.apiKey ?? fallback.OPENAI_API_KEY,
    baseURL: baseURL.replace(/\/+$/, ""),
    organization: organization ?? (atOpenAi ? env.OPENAI_ORG_ID : undefined),
    project: project ?? (atOpenAi ? env.OPENAI_PROJECT_ID : undefined),
    maxTokensField: options.maxTokensField ?? (atOpenAi ? "max_completion_tokens" : "max_tokens"),
  }
}

/** Looks only where the options say nothing. A variable that is set to nothing is not set. */
function fromEnvironment(env: NodeJS.ProcessEnv, { apiKey, baseURL }: z.output<typeof OpenAiOptions>) {
  return checkOptions("openai", Environment, {
    ...(apiKey === undefined && { OPENAI_API_KEY: env.OPENAI_API_KEY?.trim() || undefined }),
    ...(baseURL === undefined && { OPENAI_BASE_URL: env.OPENAI_BASE_URL?.trim() || undefined }),
  })
}

const Environment = z.object({ OPENAI_API_KEY: ApiKey.optional(), OPENAI_BASE_URL: BaseUrl.optional() })
