import type { Gateway } from "./gateway.js"

type Env = Readonly<Record<string, string | undefined>>

/**
 * The gateways that an environment names: `OPENAI_API_KEY` or `OPENAI_BASE_URL`, `ANTHROPIC_API_KEY`, `GEMINI_API_KEY` or
 * `GOOGLE_API_KEY`; Ollama always, at `OLLAMA_HOST` or where it is by default. None of them is reached before it is asked.
 */
export async function gatewaysFromEnv(env: Env): Promise<Gateway[]> {
  const wanted: Promise<Gateway>[] = [import("./ollama/ollama.js").then(({ ollama }) => ollama())]
  if (has(env, "OPENAI_API_KEY", "OPENAI_BASE_URL")) {
    wanted.push(import("./openai/openai.js").then(({ openai }) => openai()))
  }
  if (has(env, "ANTHROPIC_API_KEY")) {
    wanted.push(import("./anthropic/anthropic.js").then(({ anthropic }) => anthropic()))
  }
  if (has(env, "GEMINI_API_KEY", "GOOGLE_API_KEY")) {
    wanted.push(import("./gemini/gemini.js").then(({ gemini }) => gemini()))
  }
  return Promise.all(wanted)
}

function has(env: Env, ...names: readonly string[]): boolean {
  return names.some((name) => env[name] !== undefined && env[name] !== "")
}
