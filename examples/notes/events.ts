import { defineEvent } from "murmur"
import { z } from "zod"

const Text = z.object({ text: z.string().min(1).max(20_000) })

export const NoteAdded = defineEvent("note.added", Text, { description: "Somebody wrote a note" })

const Sorted = Text.extend({ topic: z.string() })

export const NoteSorted = defineEvent("note.sorted", Sorted, {
  key: ({ topic }) => topic,
  description: "It is known what a note is about",
})

export const NoteFiled = defineEvent("note.filed", z.object({ topic: z.string(), number: z.int() }), {
  key: ({ topic }) => topic,
  description: "A note has its number among those of its topic",
})

export const NoteTitled = defineEvent("note.titled", z.object({ topic: z.string(), title: z.string() }), {
  key: ({ topic }) => topic,
  description: "A long note has a title",
})
