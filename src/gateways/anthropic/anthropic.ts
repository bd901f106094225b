import type { Gateway } from "../gateway.js"
import { anthropicWith } from "./make-gateway.js"
import type { AnthropicOptions } from "./options.js"

/**
 * A gateway to Anthropic, on the official SDK, which has to be installed: `npm install @anthropic-ai/sdk`. It is loaded by
 * the first call.
 *
 * @throws TerminalError `LLM_OPTION`; its methods throw `LLM_GATEWAY` where the SDK is not installed, `LLM_KEY` without a key
 * @example anthropic() // ANTHROPIC_API_KEY
 */
export function anthropic(options: AnthropicOptions = {}): Gateway {
  return anthropicWith(options)
}
