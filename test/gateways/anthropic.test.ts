import { anthropic } from "../../src/gateways/anthropic/anthropic.js"
import { startAnthropicServer } from "../support/llm/anthropic-server.js"
import { describeGateway } from "./suite.js"
import { CANARY_KEY } from "./suite-seam.js"

describeGateway(
  "anthropic",
  async (options) => {
    const server = await startAnthropicServer()
    return { gateway: anthropic({ baseURL: server.url, apiKey: CANARY_KEY, ...options }), server }
  },
  { can: { embed: false, pull: false, seed: false, temperature: false } },
)
