import { defineAgent } from "murmur"
import { concatMap, map, pairwise, startWith } from "rxjs"
import { type Spec, SpecChanged, SpecRead } from "../events.js"

const WEEK_MS = 7 * 24 * 60 * 60 * 1_000

/**
 * Says what is different since a spec was last read: two readings of the same key, side by side. The readings of the last
 * week are fed again at start, so the first edit after a restart is compared like any other.
 */
export default defineAgent("spec-watch", {
  description: "Says what is different in a spec since it was last read",
  on: [SpecRead],
  emits: [SpecChanged],
  horizonMs: WEEK_MS,
  react: (readings) =>
    readings.pipe(
      map(({ data }) => data),
      startWith(undefined),
      pairwise(),
      concatMap(([before, after]) => (after === undefined ? [] : [SpecChanged(compare(before, after))])),
    ),
})

function compare(before: Spec | undefined, after: Spec) {
  const [old, now] = [before?.requirements ?? {}, after.requirements]
  const added = Object.keys(now).filter((id) => old[id] === undefined)
  const removed = Object.keys(old).filter((id) => now[id] === undefined)
  const reworded = Object.keys(now).filter((id) => old[id] !== undefined && old[id] !== now[id])
  const change = changeOf(before, after)
  const news = [
    [added.join(", "), "added"],
    [reworded.join(", "), "reworded"],
    [removed.join(", "), "removed"],
  ].flatMap(([ids, verb]) => (ids === "" ? [] : [`${ids} ${verb}`]))
  const { spec, openQuestions } = after
  return { spec, change, added, removed, reworded, openQuestions, title: titleOf(change, news, after) }
}

function changeOf(before: Spec | undefined, after: Spec): "added" | "edited" | "touched" | "removed" {
  if (after.sha256 === undefined) return "removed"
  if (before?.sha256 === undefined) return "added"
  return before.sha256 === after.sha256 ? "touched" : "edited"
}

function titleOf(change: ReturnType<typeof changeOf>, news: string[], { requirements, openQuestions }: Spec): string {
  const open = `${openQuestions} open question${openQuestions === 1 ? "" : "s"}`
  switch (change) {
    case "added":
      return `New, with ${Object.keys(requirements).length} requirements and ${open}`
    case "edited":
      return `${news.join(", ") || "Edited, no requirement changed"}; ${open}`
    case "touched":
      return "Saved again, the text is the same"
    case "removed":
      return "Gone"
  }
}
