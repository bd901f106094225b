import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Without a key nothing is asked of anybody: a script answers, and puts the commits together as well as it can. */
const script = scripted({
  replies: ({ data }) => {
    const noticed = (data as readonly string[]).flatMap((commit) => /^(?:feat|fix): (.+)/.exec(commit)?.[1] ?? [])
    return `New in this version: ${noticed.join("; ")}.`
  },
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
