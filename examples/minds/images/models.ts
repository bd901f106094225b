import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** A script sees nothing: it knows the one picture that comes with the example, and says so of any other. */
const script = scripted({
  replies: ({ messages }) => {
    const bars = [
      { colour: "red", rank: 3 },
      { colour: "green", rank: 1 },
      { colour: "blue", rank: 2 },
    ]
    if (JSON.stringify(messages).includes("sales.png")) {
      return { object: { bars, saying: "Green is the tallest, red the smallest." } }
    }
    return { object: { bars: [], saying: "A script cannot see this picture." } }
  },
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/gemma3:4b" : "scripted/demo",
  gateways: [script],
})
