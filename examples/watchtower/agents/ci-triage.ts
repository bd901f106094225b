import {
  CiJobCompleted,
  type CiJobCompletedData,
  CiRunCompleted,
  type CiRunCompletedData,
  defineAgent,
  type EventDraft,
  type MurmurEvent,
} from "murmur"
import { concatMap, scan } from "rxjs"
import { IncidentOpened, RunCleared, WorkflowFlaky } from "../events.js"

type Ended = MurmurEvent<CiRunCompletedData> | MurmurEvent<CiJobCompletedData>

/** What is remembered of one repository. */
interface Desk {
  /** What ran on which commit, and whether it failed; the newest last. */
  readonly results: readonly { readonly what: string; readonly commit: string; readonly failed: boolean }[]
  /** Attempts of runs that have an incident already: a failed job and its failed run are one. */
  readonly incidents: readonly string[]
  readonly verdicts: readonly EventDraft[]
}

const REMEMBERED = 200
const FAILURES = ["failure", "timed_out", "startup_failure"] as const
type Failure = (typeof FAILURES)[number]
const isFailure = (conclusion: string): conclusion is Failure => FAILURES.some((failure) => failure === conclusion)

/**
 * Gives every CI run a verdict: an incident, flaky, or nothing to do.
 *
 * To call something flaky it has to remember. It is a `react` agent, one stream of events per repository, and `scan`
 * holds the memory. After a restart the events of the last day are fed again (`horizonMs`), so it knows what it knew;
 * what they led to is not published a second time.
 */
export default defineAgent("ci-triage", {
  description: "Gives every CI run a verdict: an incident, flaky, or nothing to do",
  on: [CiRunCompleted, CiJobCompleted],
  emits: [IncidentOpened, WorkflowFlaky, RunCleared],
  horizonMs: 24 * 60 * 60 * 1_000,
  react: (events) =>
    events.pipe(
      scan(judge, { results: [], incidents: [], verdicts: [] } as Desk),
      concatMap(({ verdicts }) => verdicts),
    ),
})

function judge(desk: Desk, { data }: Ended): Desk {
  const what = [data.workflow, "job" in data ? data.job : undefined].filter(Boolean).join(" / ")
  const { repository, branch, commit, url } = data
  const about = { repository, what, branch, commit, url }
  const failed = isFailure(data.conclusion)
  const earlier = desk.results.filter((result) => result.what === what && result.commit === commit)
  const failures = earlier.filter((result) => result.failed).length + (failed ? 1 : 0)
  const run = `${repository} ${data.runId} ${data.attempt ?? 1}`

  let { incidents } = desk
  const verdicts: EventDraft[] = []
  const where = `on ${branch ?? "an unknown branch"}`
  if (earlier.some((result) => result.failed !== failed)) {
    const title = `${what} ${failed ? "passed, then failed" : "failed, then passed"} ${where}, same commit`
    verdicts.push(WorkflowFlaky({ ...about, failures, title }))
  } else if (failed && !incidents.includes(run)) {
    incidents = [...incidents, run].slice(-REMEMBERED)
    const failedStep = "job" in data ? data.failedStep : undefined
    const at = failedStep === undefined ? "" : ` at "${failedStep}"`
    const title = `${what} ${data.conclusion === "timed_out" ? "timed out" : "failed"} ${where}${at}`
    const { provider, runId, attempt, conclusion } = data
    const failedRun = { ...about, provider, runId, attempt, conclusion: isFailure(conclusion) ? conclusion : "failure" }
    const jobId = "job" in data ? data.jobId : undefined
    verdicts.push(IncidentOpened({ ...failedRun, jobId, severity: severityOf(data), failedStep, title }))
  } else if (!failed && !("job" in data)) {
    verdicts.push(RunCleared({ ...about, title: `${what} ended ${where}: ${data.conclusion}` }))
  }

  const result = { what, commit: commit ?? "", failed }
  return { results: [...desk.results, result].slice(-REMEMBERED), incidents, verdicts }
}

function severityOf({ branch, conclusion }: CiRunCompletedData | CiJobCompletedData): "low" | "medium" | "high" {
  if (branch === "main" || branch === "master") return "high"
  return conclusion === "timed_out" ? "medium" : "low"
}
