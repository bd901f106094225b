import { gemini } from "../../src/gateways/gemini/gemini.js"
import { startGeminiServer } from "../support/llm/gemini-server.js"
import { describeGateway } from "./suite.js"
import { CANARY_KEY } from "./suite-seam.js"

describeGateway(
  "gemini",
  async (options) => {
    const server = await startGeminiServer()
    return { gateway: gemini({ baseURL: server.url, apiKey: CANARY_KEY, ...options }), server }
  },
  { can: { pull: false, imageUrls: false, toolCallIds: false, malformed: false } },
)
