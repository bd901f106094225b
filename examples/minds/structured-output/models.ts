import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Answers like a model that is not at its best: the first answer does not fit the schema, and is told so. */
const script = scripted({
  replies: [
    {
      when: "That answer cannot be used",
      reply: { object: { kind: "bug", urgency: 5, summary: "The export ends with an error since the update." } },
    },
    { reply: { object: { kind: "bug", urgency: "very", summary: "The export ends with an error since the update." } } },
  ],
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
