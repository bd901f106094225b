import { ollama } from "../../src/gateways/ollama/ollama.js"
import { startOllamaServer } from "../support/llm/ollama-server.js"
import { describeGateway } from "./suite.js"
import { CANARY_KEY } from "./suite-seam.js"

describeGateway(
  "ollama",
  async (options) => {
    const server = await startOllamaServer()
    const headers = { authorization: `Bearer ${CANARY_KEY}` }
    return { gateway: ollama({ host: server.url, headers, ...options }), server }
  },
  { can: { imageUrls: false, toolChoice: false, filters: false, cachedTokens: false, reasoningTokens: false } },
)
