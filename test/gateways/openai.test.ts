import { openai } from "../../src/gateways/openai/openai.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"
import { describeGateway } from "./suite.js"
import { CANARY_KEY } from "./suite-seam.js"

describeGateway(
  "openai",
  async (options = {}) => {
    const server = await startOpenAiServer()
    return { server, gateway: openai({ baseURL: `${server.url}/v1`, apiKey: CANARY_KEY, ...options }) }
  },
  { can: { pull: false } },
)
