import { defineAgent } from "murmur"
import { NoteFiled, NoteSorted } from "./events.js"

/**
 * Numbers the notes of each topic: every note once, in the order in which they came, whichever node files it. Up to
 * eight nodes share the topics.
 */
export default defineAgent("librarian", {
  description: "Numbers the notes of each topic",
  on: [NoteSorted],
  emits: [NoteFiled],
  partitions: 8,
  state: {
    initial: { notes: 0 },
    evolve: { Filed: (_state, { number }: { number: number }) => ({ notes: number }) },
  },
  handle({ data }, ctx) {
    const number = ctx.state.notes + 1
    ctx.record("Filed", { number })
    ctx.emit(NoteFiled({ topic: data.topic, number }))
  },
})
