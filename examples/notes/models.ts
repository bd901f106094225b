import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Without a model the first words of a note are its title. */
const script = scripted({
  replies: ({ data }) => String(data).split(/\s+/).slice(0, 8).join(" "),
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
