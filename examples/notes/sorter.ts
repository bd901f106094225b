import { defineAgent } from "murmur"
import { NoteAdded, NoteSorted } from "./events.js"

/** The first #topic of a text, in lower case. */
const topicOf = (text: string): string => /#([\p{L}\p{N}-]{1,40})/u.exec(text)?.[1]?.toLowerCase() ?? "other"

/** Says what a note is about. Notes need no order among one another, so any node takes any of them. */
export default defineAgent("sorter", {
  description: "Sorts notes by their #topic",
  on: [NoteAdded],
  emits: [NoteSorted],
  ordering: "none",
  handle({ data }, ctx) {
    ctx.emit(NoteSorted({ text: data.text, topic: topicOf(data.text) }))
  },
})
