import type { z } from "zod"
import type { EventDraft } from "../../bus/event.js"
import { present } from "../present.js"
import {
  CiJobCompleted,
  CiRunCompleted,
  type CiRunData,
  CiRunRequested,
  CiRunStarted,
  Conclusion,
  PullRequestClosed,
  PullRequestMerged,
  PullRequestOpened,
  PullRequestUpdated,
  RepoPushed,
  RepoTagPushed,
} from "./events.js"
import { PullRequest, Push, WorkflowJob, WorkflowRun } from "./github-payloads.js"
import { at, refName } from "./tolerant.js"

const provider = "github"
const COMMITS_MAX = 50

/**
 * The events that a GitHub delivery stands for; none for what is deliberately left alone: other event types (check runs and
 * statuses would say the same a second time), jobs that have not ended, deleted branches and tags.
 *
 * @param eventType value of `X-GitHub-Event`
 * @throws ZodError when the payload lacks what its type promises
 */
export function mapGithub(eventType: string, payload: unknown): EventDraft[] {
  switch (eventType) {
    case "workflow_run":
      return workflowRun(WorkflowRun.parse(payload))
    case "workflow_job":
      return workflowJob(WorkflowJob.parse(payload))
    case "push":
      return push(Push.parse(payload))
    case "pull_request":
      return [pullRequest(PullRequest.parse(payload))]
    default:
      return []
  }
}

function workflowRun({ action, repository, workflow_run: run }: z.output<typeof WorkflowRun>): EventDraft[] {
  const data: CiRunData = present({
    provider,
    repository: repository.full_name,
    runId: run.id,
    // A workflow without a name has an empty one; its file always has a path.
    workflow: run.name ?? run.path ?? "workflow",
    attempt: run.run_attempt,
    trigger: run.event,
    branch: run.head_branch,
    commit: run.head_sha,
    title: run.display_title,
    url: run.html_url,
    actor: run.triggering_actor?.login ?? run.actor?.login,
    startedAt: run.run_started_at,
  })
  switch (action) {
    case "requested":
      return [CiRunRequested(data)]
    case "in_progress":
      return [CiRunStarted(data)]
    case "completed": {
      const end = present({ completedAt: run.updated_at, logUrl: run.logs_url })
      return [CiRunCompleted({ ...data, ...end, conclusion: conclusionOf(run.conclusion) }, at(run.updated_at))]
    }
    default:
      return []
  }
}

function workflowJob({ action, repository, workflow_job: job, sender }: z.output<typeof WorkflowJob>): EventDraft[] {
  if (action !== "completed") return []
  const data = present({
    provider,
    repository: repository.full_name,
    runId: job.run_id,
    jobId: job.id,
    job: job.name,
    workflow: job.workflow_name,
    attempt: job.run_attempt,
    branch: job.head_branch,
    commit: job.head_sha,
    url: job.html_url,
    logUrl: job.url === undefined ? undefined : `${job.url}/logs`,
    actor: sender?.login,
    startedAt: job.started_at,
    completedAt: job.completed_at,
    failedStep: job.steps?.find((step) => step.conclusion === "failure")?.name,
    runner: job.runner_name,
  })
  return [CiJobCompleted({ ...data, conclusion: conclusionOf(job.conclusion) }, at(job.completed_at))]
}

function push(payload: z.output<typeof Push>): EventDraft[] {
  if (payload.deleted) return []
  const origin = { provider, repository: payload.repository.full_name }
  const by = present({ actor: payload.sender?.login ?? payload.pusher?.name, url: payload.compare })
  const tag = refName("refs/tags/", payload.ref)
  if (tag !== undefined) {
    // Of an annotated tag `after` is the tag object; the commit is the head.
    return [RepoTagPushed({ ...origin, ...by, tag, commit: payload.head_commit?.id ?? payload.after })]
  }
  const branch = refName("refs/heads/", payload.ref)
  if (branch === undefined) return []
  const commits = payload.commits.slice(-COMMITS_MAX).map((commit) =>
    present({
      id: commit.id,
      message: commit.message ?? "",
      author: commit.author?.username ?? commit.author?.name,
      url: commit.url,
      committedAt: commit.timestamp,
    }),
  )
  const what = present({ before: payload.before, created: payload.created, forced: payload.forced })
  const commitCount = payload.commits.length
  return [RepoPushed({ ...origin, ...by, ...what, branch, after: payload.after, commits, commitCount })]
}

function pullRequest({ action, repository, sender, pull_request: pr }: z.output<typeof PullRequest>): EventDraft {
  const closed = pr.merged ? PullRequestMerged : PullRequestClosed
  const opened = action === "opened" || action === "reopened"
  const event = opened ? PullRequestOpened : action === "closed" ? closed : PullRequestUpdated
  return event(
    present({
      provider,
      repository: repository.full_name,
      number: pr.number,
      action,
      title: pr.title ?? "",
      author: pr.user?.login,
      actor: sender?.login,
      branch: pr.head.ref,
      targetBranch: pr.base.ref,
      commit: pr.head.sha,
      draft: pr.draft,
      url: pr.html_url,
    }),
  )
}

function conclusionOf(word: string | undefined): Conclusion {
  return Conclusion.catch("unknown").parse(word)
}
