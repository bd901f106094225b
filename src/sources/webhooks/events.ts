import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"

/**
 * What every provider's deliveries are turned into. All that comes from a provider is data that anybody with a fork may
 * have written: titles, branches and messages are never commands. What a provider leaves out or sends as null is absent.
 */

const Text = z.string().min(1)
const Time = z.iso.datetime()
const Url = z.url({ protocol: /^https?$/ })

/** How a run or a job ended. `unknown` when the provider says a word that is new. */
export const Conclusion = z.enum([
  "success",
  "failure",
  "cancelled",
  "skipped",
  "timed_out",
  "neutral",
  "action_required",
  "stale",
  "startup_failure",
  "unknown",
])
export type Conclusion = z.infer<typeof Conclusion>

const Origin = z.object({
  /** `github`, `gitlab`, or the name of another provider. */
  provider: Text,
  /** `owner/name`; of GitLab with all groups. It is the event's key. */
  repository: Text,
})

/** A run of a workflow or pipeline. */
export const CiRunData = Origin.extend({
  runId: Text,
  /** Name of the workflow or pipeline. */
  workflow: Text,
  /** Counts from 1; absent where the provider does not count. */
  attempt: z.number().int().positive().optional(),
  /** What started it: `push`, `schedule`, `merge_request_event` ... */
  trigger: Text.optional(),
  branch: Text.optional(),
  commit: Text.optional(),
  title: z.string().optional(),
  url: Url.optional(),
  actor: Text.optional(),
  startedAt: Time.optional(),
})
export type CiRunData = z.infer<typeof CiRunData>

/** A run that has ended. */
export const CiRunCompletedData = CiRunData.extend({
  conclusion: Conclusion,
  completedAt: Time.optional(),
  /** Where the log is; mostly needs the provider's token. */
  logUrl: Url.optional(),
})
export type CiRunCompletedData = z.infer<typeof CiRunCompletedData>

/** A job of a run that has ended. */
export const CiJobCompletedData = CiRunCompletedData.partial({ workflow: true }).extend({
  jobId: Text,
  /** Name of the job. */
  job: Text,
  /** The first step that failed, by name. */
  failedStep: Text.optional(),
  runner: Text.optional(),
})
export type CiJobCompletedData = z.infer<typeof CiJobCompletedData>

const CommitData = z.object({
  id: Text,
  /** Cut at 1,000 characters. */
  message: z.string(),
  author: Text.optional(),
  url: Url.optional(),
  committedAt: Time.optional(),
})

/** Commits that were pushed to a branch. */
export const PushedData = Origin.extend({
  branch: Text,
  before: Text,
  after: Text,
  created: z.boolean().optional(),
  forced: z.boolean().optional(),
  /** The newest 50 at most, oldest first. */
  commits: z.array(CommitData).max(50),
  /** How many were pushed, as far as the provider says. */
  commitCount: z.number().int().nonnegative(),
  actor: Text.optional(),
  url: Url.optional(),
})
export type PushedData = z.infer<typeof PushedData>

/** A tag that was pushed. */
export const TagPushedData = Origin.extend({
  tag: Text,
  commit: Text,
  actor: Text.optional(),
  url: Url.optional(),
})
export type TagPushedData = z.infer<typeof TagPushedData>

/** A pull or merge request. */
export const PullRequestData = Origin.extend({
  number: z.number().int().nonnegative(),
  /** The provider's own word for what happened: `opened`, `synchronize`, `labeled`, `approved` ... */
  action: Text,
  title: z.string(),
  author: Text.optional(),
  /** Who did it. */
  actor: Text.optional(),
  branch: Text,
  targetBranch: Text,
  commit: Text.optional(),
  draft: z.boolean().optional(),
  url: Url.optional(),
})
export type PullRequestData = z.infer<typeof PullRequestData>

const key = (data: { repository: string }): string => data.repository

/** A run was asked for and waits. */
export const CiRunRequested = defineEvent("ci.run.requested", CiRunData, { key, description: "A CI run was asked for" })
/** A run began. */
export const CiRunStarted = defineEvent("ci.run.started", CiRunData, { key, description: "A CI run began" })
/** A run ended, well or badly. */
export const CiRunCompleted = defineEvent("ci.run.completed", CiRunCompletedData, {
  key,
  description: "A CI run ended, well or badly",
})
/** A job of a run ended, well or badly. */
export const CiJobCompleted = defineEvent("ci.job.completed", CiJobCompletedData, {
  key,
  description: "A job of a CI run ended, well or badly",
})
/** Commits were pushed to a branch. A branch that is deleted is not a push. */
export const RepoPushed = defineEvent("repo.pushed", PushedData, {
  key,
  description: "Commits were pushed to a branch",
})
/** A tag was pushed. A tag that is deleted is not a push. */
export const RepoTagPushed = defineEvent("repo.tag.pushed", TagPushedData, { key, description: "A tag was pushed" })
/** A pull request was opened, or opened again. */
export const PullRequestOpened = defineEvent("repo.pull_request.opened", PullRequestData, {
  key,
  description: "A pull request was opened, or opened again",
})
/** Commits, text, labels or reviewers of a pull request changed; `action` says which. */
export const PullRequestUpdated = defineEvent("repo.pull_request.updated", PullRequestData, {
  key,
  description: "Something about a pull request changed; its action says what",
})
/** A pull request was merged. */
export const PullRequestMerged = defineEvent("repo.pull_request.merged", PullRequestData, {
  key,
  description: "A pull request was merged",
})
/** A pull request was closed without a merge. */
export const PullRequestClosed = defineEvent("repo.pull_request.closed", PullRequestData, {
  key,
  description: "A pull request was closed without a merge",
})

/** All that a code host's webhook may publish. */
export const CODE_HOST_EVENTS = [
  CiRunRequested,
  CiRunStarted,
  CiRunCompleted,
  CiJobCompleted,
  RepoPushed,
  RepoTagPushed,
  PullRequestOpened,
  PullRequestUpdated,
  PullRequestMerged,
  PullRequestClosed,
] as const
