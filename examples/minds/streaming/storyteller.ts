import { defineAgent, defineEvent, system, user } from "murmur"
import { z } from "zod"

const Story = z.object({ about: z.string() })

export const StoryWanted = defineEvent("story.wanted", Story, {
  key: (story) => story.about,
  description: "Somebody wants to hear a story",
})

export const StoryTold = defineEvent("story.told", Story.extend({ text: z.string(), firstWordMs: z.number() }), {
  key: (story) => story.about,
  description: "The whole story, and how long its listeners waited for the first word",
})

const TASK = system("You tell stories of one paragraph, some sixty words, that end well.")

/**
 * Reads the answer while it comes. Everybody else can, too: pieces of it are on the bus as `murmur.run.content`. A step
 * that runs again is given the whole answer at once, and nobody is asked anew.
 */
export default defineAgent("storyteller", {
  description: "Tells a story",
  on: [StoryWanted],
  emits: [StoryTold],
  async handle({ data: { about } }, ctx) {
    const asked = performance.now()
    let firstWordMs = 0
    const story = ctx.llm.stream([TASK, user(`Tell me about ${about}.`)])
    for await (const piece of story) {
      if (piece.type === "text" && firstWordMs === 0) firstWordMs = Math.ceil(performance.now() - asked)
    }
    const { text } = await story.answer
    ctx.emit(StoryTold({ about, text, firstWordMs }))
  },
})
