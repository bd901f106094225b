import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

interface Material {
  readonly findings: readonly { readonly answer: string }[]
  readonly objections: readonly string[]
}

/** One line for each thing that somebody in the team asks a model; what the system message says tells them apart. */
const script = scripted({
  replies: [
    {
      system: "Take the question apart",
      reply: { object: { parts: ["What about reliability?", "What about cost?", "What about the team?"] } },
    },
    {
      system: 'You are the agent "researcher"',
      turns: [
        ({ lastUser }) => {
          const words = ["reliability", "cost", "team"].filter((word) => lastUser.includes(word))
          return { toolCalls: [{ name: "searchNotes", arguments: { words } }] }
        },
        ({ lastTool }) => {
          const notes: { id: string; text: string }[] = JSON.parse(lastTool?.content ?? "[]")
          const answer = notes.map(({ text }) => text).join(" ")
          return { object: { answer, sources: notes.map(({ id }) => id) } }
        },
      ],
    },
    { system: "Write a report", reply: ({ data }) => report(data as Material) },
    {
      system: 'You are the agent "reviewer"',
      reply: ({ lastUser }) =>
        lastUser.includes("Recommendation:")
          ? { object: { good: true, objections: [] } }
          : { object: { good: false, objections: ["Say what should be done."] } },
    },
  ],
})

function report({ findings, objections }: Material): string {
  const advice = objections.length > 0 ? " Recommendation: move them." : ""
  return findings.map(({ answer }) => answer).join(" ") + advice
}

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
