import { defineAgent, type MurmurEvent } from "murmur"
import { map, scan } from "rxjs"
import {
  IncidentDescribed,
  IncidentOpened,
  RerunStarted,
  RunCleared,
  ShiftEntry,
  SpecChanged,
  Volatile,
  WorkflowFlaky,
} from "../events.js"

const SHIFT_MS = 8 * 60 * 60 * 1_000

type Reported = MurmurEvent<{ title: string }>

/**
 * Reacts to what the other agents said, not to the outside world: the cause of a line lies two hops away and more. It does
 * not know those agents, nor they it; `murmur trace` shows how they come together.
 */
export default defineAgent("shift-log", {
  description: "Writes down what the other agents found",
  on: [IncidentOpened, IncidentDescribed, RerunStarted, WorkflowFlaky, RunCleared, Volatile, SpecChanged],
  emits: [ShiftEntry],
  horizonMs: SHIFT_MS,
  react: (reports) =>
    reports.pipe(
      scan((log, report) => countIn(log, report), { counts: {} } as Log),
      map(({ counts, newest }) => entry(newest as Reported, counts)),
    ),
})

interface Log {
  readonly counts: Readonly<Record<string, number>>
  readonly newest?: Reported
}

function countIn({ counts }: Log, newest: Reported): Log {
  return { counts: { ...counts, [newest.type]: (counts[newest.type] ?? 0) + 1 }, newest }
}

function entry({ type, key = "-", data }: Reported, counts: Log["counts"]) {
  const count = counts[type] ?? 1
  const { level, name } = KINDS[type] ?? { level: "info", name: type }
  return ShiftEntry({ about: key, level, count, title: `${name} ${count}: ${data.title}` })
}

const KINDS: Readonly<Record<string, { readonly level: "info" | "warning" | "alarm"; readonly name: string }>> = {
  [IncidentOpened.type]: { level: "alarm", name: "Incident" },
  [IncidentDescribed.type]: { level: "warning", name: "Cause" },
  [RerunStarted.type]: { level: "info", name: "Re-run" },
  [WorkflowFlaky.type]: { level: "warning", name: "Flaky" },
  [RunCleared.type]: { level: "info", name: "Run" },
  [Volatile.type]: { level: "warning", name: "Alert" },
  [SpecChanged.type]: { level: "info", name: "Change" },
}
