import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Tells one story to everybody, a word every 40 milliseconds, so that there is something to follow. */
const script = scripted({
  pieceDelayMs: 40,
  replies: ({ lastUser }) =>
    `Once there was ${/about (.+)\./.exec(lastUser)?.[1] ?? "somebody"}, and nobody came by for a long time. ` +
    "One night the fog was so thick that the boats lay still and listened. Then a light went on, and a bell began to " +
    "ring, slowly, so that even the oldest boat could follow it. In the morning they were all in the harbour, and since " +
    "then somebody comes by every day, with bread and the news.",
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
