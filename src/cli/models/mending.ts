import { errorCode, isMurmurError, TerminalError } from "../../errors.js"

const KEYS: Readonly<Record<string, string>> = {
  openai: "OPENAI_API_KEY",
  anthropic: "ANTHROPIC_API_KEY",
  gemini: "GEMINI_API_KEY",
}

/** What to do about a provider that there is no gateway for. */
export function howToAdd(provider: string): string {
  const key = KEYS[provider]
  if (key !== undefined) return `export ${key}=... where the node runs`
  return `give defineModels a gateway of that name: gateways: [openai({ provider: "${provider}", baseURL: "http://..." })]`
}

/** What to do about a provider that did not answer. */
export function mending(provider: string, error: Error): string {
  const code = errorCode(error)
  if (code === "LLM_KEY") {
    const key = KEYS[provider]
    return key === undefined
      ? `give its gateway a key that it takes (apiKey)`
      : `export ${key}=... with a key that works`
  }
  if (code === "LLM_GATEWAY") {
    const name = isMurmurError(error) ? error.details?.package : undefined
    return typeof name === "string" ? `npm install ${name}` : "see what its gateway says"
  }
  if (code === "LLM_OPTION") return "mend what the environment says of it, or unset it"
  if (provider === "ollama" && code === "LLM_UNAVAILABLE")
    return "ollama serve, or say where it is: export OLLAMA_HOST=..."
  if (code === "LLM_BUSY") return "wait, or see what its account may use"
  return "see whether its server runs, and whether its address is right"
}

/** Nobody has said how the provider of a model is reached. */
export function noProvider(what: "ask" | "pull", model: string, provider: string): TerminalError {
  return new TerminalError(`Cannot ${what} "${model}": there is no provider "${provider}"; ${howToAdd(provider)}`, {
    code: "LLM_GATEWAY",
    details: { model, provider },
  })
}
