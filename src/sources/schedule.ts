import type { AnyEventDefinition } from "../bus/define-event.js"
import type { EventDraft } from "../bus/event.js"
import { checkName } from "../bus/subjects.js"
import { type CronExpression, parseCron } from "./cron-expression.js"
import { checkKnown, optionError, show } from "./options.js"
import { type CronDue, type CronSchedule, defineSource, type SourceContext, type SourceDefinition } from "./source.js"

/** One thing that happens by the clock. */
export interface ScheduleJob {
  /** Unique within the source. */
  readonly name: string
  /** Six fields with seconds first (`0 30 14 * * MON-FRI`), `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or `@every 5m`. */
  readonly cron: string
  /** IANA time zone of the fields, such as `Europe/Berlin`; default UTC. */
  readonly timeZone?: string
  /** The event of one firing. Its id is the firing's and its time the firing's, unless it says otherwise. */
  event(due: CronDue): EventDraft
}

/** Options of {@link schedule}. */
export interface ScheduleOptions {
  readonly jobs: readonly ScheduleJob[]
  /** The events that the jobs may publish. */
  readonly emits: readonly AnyEventDefinition[]
}

const JOBS_MAX = 1_000

/**
 * Events by the clock. The server keeps the time: no node has to be up for a firing to count, one that was missed is
 * delivered once when a node is back, and with several nodes each firing makes one event.
 *
 * @throws MurmurError `SOURCE_OPTION` for an expression that would not fire as meant, `NAME_INVALID`
 * @example
 * export default schedule("clock", {
 *   emits: [DayStarted],
 *   jobs: [{ name: "morning", cron: "0 0 7 * * MON-FRI", timeZone: "Europe/Berlin", event: (due) => DayStarted({ at: due.at.toISOString() }) }],
 * })
 */
export function schedule(name: string, options: ScheduleOptions): SourceDefinition {
  checkKnown(name, options, ["jobs", "emits"])
  const { jobs, emits } = options
  if (!Array.isArray(jobs) || jobs.length === 0 || jobs.length > JOBS_MAX) {
    throw optionError(name, `jobs must be a list of 1 to ${JOBS_MAX} jobs, is ${show(jobs)}`)
  }
  checkJobs(name, jobs)
  return defineSource(name, {
    description: `By the clock: ${jobs.map((job) => job.name).join(", ")}`,
    emits,
    async run(ctx) {
      await Promise.all(jobs.map((job) => ctx.cron(cronOf(job), (due) => fire(ctx, job, due))))
    },
  })
}

/**
 * When a job fires next, for people to look at.
 *
 * @throws MurmurError `SOURCE_OPTION` when its schedule cannot be read
 * @example
 * nextRuns({ name: "morning", cron: "0 0 7 * * *" }, 3)
 */
export function nextRuns(job: Omit<ScheduleJob, "event">, count: number, from = new Date()): Date[] {
  return parse(job.name, job).next(count, from)
}

async function fire(ctx: SourceContext, job: ScheduleJob, due: CronDue): Promise<void> {
  const draft = job.event(due)
  await ctx.publish({ ...draft, id: draft.id ?? due.id, time: draft.time ?? due.at.toISOString() })
}

function checkJobs(source: string, jobs: readonly ScheduleJob[]): void {
  const names = new Set<string>()
  for (const job of jobs) {
    checkName(job.name, "job")
    checkKnown(source, job, ["name", "cron", "timeZone", "event"])
    if (names.has(job.name)) throw optionError(source, `two jobs are named "${job.name}"`)
    names.add(job.name)
    if (typeof job.event !== "function") {
      throw optionError(
        source,
        `job "${job.name}" needs a function "event" that makes its event, has ${show(job.event)}`,
      )
    }
    parse(source, job)
  }
}

function parse(source: string, job: Omit<ScheduleJob, "event">): CronExpression {
  return parseCron(source, cronOf(job))
}

function cronOf({ name, cron, timeZone }: Omit<ScheduleJob, "event">): CronSchedule {
  return { name, expression: cron, timeZone }
}
