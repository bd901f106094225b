import { defineAgent } from "murmur"
import { z } from "zod"
import { searchNotes } from "../library.js"

/** Takes tasks and reacts to nothing else. Each task is a session of its own, so several are worked on side by side. */
export const researcher = defineAgent("researcher", {
  description: "Answers one question from the notes",
  on: [],
  input: z.object({ question: z.string() }),
  output: z.object({ answer: z.string(), sources: z.array(z.string()).describe("Ids of the notes that say so") }),
  tools: [searchNotes],
  instructions: `
Answer the question from the company's notes, in one or two sentences. Search with different words if you find nothing.
Say only what the notes say, and which of them say it. If none does, say that you found nothing.`,
})
