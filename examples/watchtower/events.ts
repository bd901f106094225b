import { defineEvent } from "murmur"
import { z } from "zod"

/*
 * The events that watchtower adds to those of the sources. An event is a fact with a schema: data is checked when it is
 * published and again when it is received. Every verdict has a `title`, one line for people.
 */

const Text = z.string().min(1)

/** What all verdicts about CI say. The repository is the key: events of one repository are handled in order. */
const About = z.object({
  repository: Text,
  /** The workflow, with the job where one is meant: `CodeQL / linters`. */
  what: Text,
  branch: Text.optional(),
  commit: Text.optional(),
  url: z.url().optional(),
  title: Text,
})
const repository = (data: { repository: string }): string => data.repository

/** Which run failed, as its provider knows it. */
export const FailedRun = About.extend({
  provider: Text,
  runId: Text,
  jobId: Text.optional(),
  attempt: z.number().int().positive().optional(),
})

export const IncidentOpened = defineEvent(
  "incident.opened",
  FailedRun.extend({
    severity: z.enum(["low", "medium", "high"]),
    conclusion: z.enum(["failure", "timed_out", "startup_failure"]),
    failedStep: Text.optional(),
  }),
  { key: repository, description: "A CI run failed and somebody should look" },
)

/** What a model finds in a log. The descriptions are for the model, and the bounds keep it brief. */
export const Findings = z.object({
  title: Text.max(120).describe("What went wrong, in one line for the people on duty"),
  kind: z.enum(["code", "test", "infrastructure", "unknown"]).describe("Where the cause lies"),
  cause: Text.max(500).describe("What led to it, as far as the log shows"),
  evidence: Text.max(300).describe("The line of the log that shows it, as it is"),
  mayPassAgain: z.boolean().describe("Whether the same commit may well pass when it is run again"),
})

export const IncidentDescribed = defineEvent("incident.described", FailedRun.extend(Findings.shape), {
  key: repository,
  description: "Somebody has read the log of an incident",
})

export const RerunStarted = defineEvent("ci.rerun.started", FailedRun, {
  key: repository,
  description: "A person has let a run that failed run again",
})

export const WorkflowFlaky = defineEvent("ci.workflow.flaky", About.extend({ failures: z.number().int().positive() }), {
  key: repository,
  description: "The same commit both failed and passed, so the code is not what decides",
})

export const RunCleared = defineEvent("ci.run.cleared", About, {
  key: repository,
  description: "A CI run ended and nothing is to be done",
})

export const Tick = defineEvent(
  "market.tick",
  z.object({
    symbol: Text,
    price: z.number().positive(),
    /** The day of the price. Not the event's time: the replay runs years in a minute. */
    day: z.iso.date(),
  }),
  { key: (data) => data.symbol, description: "A price of a stock" },
)

export const Volatile = defineEvent(
  "market.volatility",
  z.object({
    symbol: Text,
    /** Standard deviation of the logarithmic returns, a year's worth: 0.6 is 60 %. */
    volatility: z.number().nonnegative(),
    low: z.number(),
    high: z.number(),
    from: z.iso.date(),
    to: z.iso.date(),
    title: Text,
  }),
  { key: (data) => data.symbol, description: "A price moved more than usual" },
)

/** What a spec says: a requirement is a list item that begins with its number, `- R-3: ...`. */
const Spec = z.object({
  /** Folder and file: `specs/checkout.md`. */
  spec: Text,
  /** Text of each requirement, by number. Empty when the file is gone. */
  requirements: z.record(z.string(), z.string()),
  /** How many questions are open: `- [ ] ...`. */
  openQuestions: z.number().int().nonnegative(),
  /** Of the whole text; absent when the file is gone. */
  sha256: z.hex().optional(),
})
export type Spec = z.infer<typeof Spec>
const spec = (data: { spec: string }): string => data.spec

export const SpecRead = defineEvent("spec.read", Spec, { key: spec, description: "What a spec says at this moment" })

export const SpecChanged = defineEvent(
  "spec.changed",
  z.object({
    spec: Text,
    change: z.enum(["added", "edited", "touched", "removed"]),
    added: z.array(z.string()),
    removed: z.array(z.string()),
    reworded: z.array(z.string()),
    openQuestions: z.number().int().nonnegative(),
    title: Text,
  }),
  { key: spec, description: "What is different in a spec since it was last read" },
)

export const ShiftEntry = defineEvent(
  "shift.entry",
  z.object({
    about: Text,
    level: z.enum(["info", "warning", "alarm"]),
    title: Text,
    /** Which one it is of its kind about this key, in this shift. */
    count: z.number().int().positive(),
  }),
  { key: (data) => data.about, description: "A line of the shift log" },
)
