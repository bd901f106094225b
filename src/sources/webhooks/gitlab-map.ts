import { z } from "zod"
import type { EventDraft } from "../../bus/event.js"
import { present } from "../present.js"
import {
  CiJobCompleted,
  CiRunCompleted,
  type CiRunData,
  CiRunRequested,
  CiRunStarted,
  type Conclusion,
  PullRequestClosed,
  PullRequestMerged,
  PullRequestOpened,
  PullRequestUpdated,
  RepoPushed,
  RepoTagPushed,
} from "./events.js"
import { Job, MergeRequest, Pipeline, Push } from "./gitlab-payloads.js"
import { at, refName } from "./tolerant.js"

const provider = "gitlab"
const COMMITS_MAX = 50

/** Only these ends are ends; `manual` waits for a person and goes on. */
const CONCLUSIONS: ReadonlyMap<string, Conclusion> = new Map([
  ["success", "success"],
  ["failed", "failure"],
  ["canceled", "cancelled"],
  ["skipped", "skipped"],
])

const Kind = z.object({ object_kind: z.string().catch("") })

/**
 * The events that a GitLab delivery stands for; none for what is deliberately left alone: other kinds, states in which
 * nothing begins or ends (`created`, `preparing`, `manual`, ...), jobs that have not ended, deleted branches and tags.
 *
 * @throws ZodError when the payload lacks what its kind promises
 */
export function mapGitlab(payload: unknown): EventDraft[] {
  switch (Kind.parse(payload).object_kind) {
    case "pipeline":
      return pipeline(Pipeline.parse(payload))
    case "build":
      return job(Job.parse(payload))
    case "push":
    case "tag_push":
      return push(Push.parse(payload))
    case "merge_request":
      return mergeRequest(MergeRequest.parse(payload))
    default:
      return []
  }
}

function pipeline({ object_attributes: run, project, user, commit }: z.output<typeof Pipeline>): EventDraft[] {
  const url = run.url ?? (project.web_url === undefined ? undefined : `${project.web_url}/-/pipelines/${run.id}`)
  const data: CiRunData = present({
    provider,
    repository: project.path_with_namespace,
    runId: run.id,
    workflow: run.name ?? "pipeline",
    trigger: run.source,
    branch: run.ref,
    commit: run.sha,
    title: commit?.title ?? commit?.message?.split("\n")[0],
    url,
    actor: user?.username ?? user?.name,
    startedAt: run.created_at,
  })
  if (run.status === "pending") return [CiRunRequested(data)]
  if (run.status === "running") return [CiRunStarted(data)]
  const conclusion = CONCLUSIONS.get(run.status)
  if (conclusion === undefined) return []
  const end = present({ completedAt: run.finished_at })
  return [CiRunCompleted({ ...data, ...end, conclusion }, at(run.finished_at))]
}

function job(payload: z.output<typeof Job>): EventDraft[] {
  const conclusion = CONCLUSIONS.get(payload.build_status)
  if (conclusion === undefined) return []
  const home = payload.project?.web_url ?? payload.repository?.homepage
  const url = home === undefined ? undefined : `${home}/-/jobs/${payload.build_id}`
  const data = present({
    provider,
    repository: repositoryOf(payload),
    runId: payload.pipeline_id,
    jobId: payload.build_id,
    job: payload.build_name,
    branch: payload.ref,
    commit: payload.sha,
    url,
    logUrl: url === undefined ? undefined : `${url}/raw`,
    actor: payload.user?.username ?? payload.user?.name,
    startedAt: payload.build_started_at,
    completedAt: payload.build_finished_at,
    runner: payload.runner?.description,
  })
  return [CiJobCompleted({ ...data, conclusion: timedOut(payload) ?? conclusion }, at(payload.build_finished_at))]
}

function timedOut({ build_failure_reason: reason }: z.output<typeof Job>): Conclusion | undefined {
  return reason === "job_execution_timeout" || reason === "stuck_or_timeout_failure" ? "timed_out" : undefined
}

/** Job hooks of older versions name their project only by its address. */
function repositoryOf({ project, repository }: z.output<typeof Job>): string {
  if (project !== undefined) return project.path_with_namespace
  const path = repository?.homepage === undefined ? "" : new URL(repository.homepage).pathname.replace(/^\/|\/$/g, "")
  return z.string().min(1, "neither project nor repository.homepage says which project it is").parse(path)
}

function push(payload: z.output<typeof Push>): EventDraft[] {
  if (/^0+$/.test(payload.after)) return []
  const origin = { provider, repository: payload.project.path_with_namespace }
  const by = present({ actor: payload.user_username ?? payload.user_name })
  const tag = refName("refs/tags/", payload.ref)
  if (tag !== undefined) {
    return [RepoTagPushed({ ...origin, ...by, tag, commit: payload.checkout_sha ?? payload.after })]
  }
  const branch = refName("refs/heads/", payload.ref)
  if (branch === undefined) return []
  const commits = payload.commits.slice(-COMMITS_MAX).map((commit) =>
    present({
      id: commit.id,
      message: commit.message ?? "",
      author: commit.author?.name,
      url: commit.url,
      committedAt: commit.timestamp,
    }),
  )
  const commitCount = payload.total_commits_count ?? commits.length
  const { before } = payload
  const what = { before, after: payload.after, created: /^0+$/.test(before) }
  return [RepoPushed({ ...origin, ...by, ...what, branch, commits, commitCount })]
}

const BY_ACTION = new Map([
  ["open", PullRequestOpened],
  ["reopen", PullRequestOpened],
  ["merge", PullRequestMerged],
  ["close", PullRequestClosed],
])

function mergeRequest({ object_attributes: mr, project, user }: z.output<typeof MergeRequest>): EventDraft[] {
  if (mr.action === undefined) return []
  const event = BY_ACTION.get(mr.action) ?? PullRequestUpdated
  return [
    event(
      present({
        provider,
        repository: project.path_with_namespace,
        number: mr.iid,
        action: mr.action,
        title: mr.title ?? "",
        actor: user?.username ?? user?.name,
        branch: mr.source_branch,
        targetBranch: mr.target_branch,
        commit: mr.last_commit?.id,
        draft: mr.draft ?? mr.work_in_progress,
        url: mr.url,
      }),
    ),
  ]
}
