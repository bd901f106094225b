import { defineTool } from "murmur"
import { z } from "zod"

/** What the researchers can read: notes of a company that moved its nightly jobs. */
const NOTES: Readonly<Record<string, string>> = {
  "ops-12": "Reliability: nine of the last 90 nights a job did not run, and nobody knew before noon.",
  "ops-31":
    "Reliability: with the queue, a job that fails is tried again and shows in the dead letters within a minute.",
  "cost-3": "Cost: the machine for cron is paid for in any case; the queue took two weeks of one engineer.",
  "cost-8": "Cost: each night that was missed cost support half a day.",
  "team-5": "Team: three of eight engineers have changed a cron job before, all eight have written an event handler.",
}

export const searchNotes = defineTool({
  name: "searchNotes",
  description: "Finds notes of the company that have one of these words in them",
  input: z.object({ words: z.array(z.string()).min(1).max(8) }),
  effect: "read",
  run: ({ words }) =>
    Object.entries(NOTES)
      .filter(([, text]) => words.some((word) => text.toLowerCase().includes(word.toLowerCase())))
      .map(([id, text]) => ({ id, text })),
})
