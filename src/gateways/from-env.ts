import type { Gateway } from "./gateway.js"

type Env = Readonly<Record<string, string | undefined>>

/** A provider that an environment names. */
export interface EnvProvider {
  readonly provider: string
  /** Makes its gateway. @throws TerminalError `LLM_OPTION` when what the environment says is no key, or no address */
  make(): Promise<Gateway>
}

/**
 * The providers that an environment names: `OPENAI_API_KEY` or `OPENAI_BASE_URL`, `ANTHROPIC_API_KEY`, `GEMINI_API_KEY` or
 * `GOOGLE_API_KEY`; Ollama always, at `OLLAMA_HOST` or where it is by default. None of them is reached before it is asked.
 */
export function providersOfEnv(env: Env): readonly EnvProvider[] {
  const providers: EnvProvider[] = [
    { provider: "ollama", make: async () => (await import("./ollama/ollama.js")).ollama() },
  ]
  if (has(env, "OPENAI_API_KEY", "OPENAI_BASE_URL")) {
    providers.push({ provider: "openai", make: async () => (await import("./openai/openai.js")).openai() })
  }
  if (has(env, "ANTHROPIC_API_KEY")) {
    providers.push({ provider: "anthropic", make: async () => (await import("./anthropic/anthropic.js")).anthropic() })
  }
  if (has(env, "GEMINI_API_KEY", "GOOGLE_API_KEY")) {
    providers.push({ provider: "gemini", make: async () => (await import("./gemini/gemini.js")).gemini() })
  }
  return providers
}

function has(env: Env, ...names: readonly string[]): boolean {
  return names.some((name) => env[name] !== undefined && env[name] !== "")
}
