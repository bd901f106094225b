import type { Gateway } from "../gateway.js"
import { geminiWith } from "./make-gateway.js"
import type { GeminiOptions } from "./options.js"

/**
 * A gateway to Google's Gemini, on the official SDK, which has to be installed: `npm install @google/genai`. It is loaded
 * by the first call.
 *
 * @throws TerminalError `LLM_OPTION`; its methods throw `LLM_GATEWAY` where the SDK is not installed, `LLM_KEY` without a key
 * @example gemini() // GOOGLE_API_KEY or GEMINI_API_KEY
 */
export function gemini(options: GeminiOptions = {}): Gateway {
  return geminiWith(options)
}
