import { z } from "zod"
import { count, flag, id, link, maybe, text, time } from "./tolerant.js"

/** What is read of GitHub's payloads, and no more. Required is only what an event cannot do without. */

const User = maybe({ login: text })
const Repository = z.object({ full_name: z.string().min(1) })

export const WorkflowRun = z.object({
  action: z.string(),
  repository: Repository,
  workflow_run: z.object({
    id,
    name: text,
    path: text,
    run_attempt: z.number().int().positive().optional().catch(undefined),
    event: text,
    head_branch: text,
    head_sha: text,
    display_title: text,
    conclusion: text,
    html_url: link,
    logs_url: link,
    actor: User,
    triggering_actor: User,
    run_started_at: time,
    updated_at: time,
  }),
})

export const WorkflowJob = z.object({
  action: z.string(),
  repository: Repository,
  workflow_job: z.object({
    id,
    run_id: id,
    run_attempt: z.number().int().positive().optional().catch(undefined),
    name: z.string().min(1),
    workflow_name: text,
    head_branch: text,
    head_sha: text,
    conclusion: text,
    url: link,
    html_url: link,
    started_at: time,
    completed_at: time,
    runner_name: text,
    steps: z
      .array(z.object({ name: text, conclusion: text }))
      .optional()
      .catch(undefined),
  }),
  sender: User,
})

export const Push = z.object({
  ref: z.string().min(1),
  before: z.string().min(1),
  after: z.string().min(1),
  created: flag,
  deleted: flag,
  forced: flag,
  compare: link,
  repository: Repository,
  pusher: maybe({ name: text }),
  sender: User,
  head_commit: maybe({ id: text }),
  commits: z
    .array(
      z.object({
        id: z.string().min(1),
        message: text,
        url: link,
        timestamp: time,
        author: maybe({ username: text, name: text }),
      }),
    )
    .catch([]),
})

export const PullRequest = z.object({
  action: z.string().min(1),
  number: count,
  repository: Repository,
  sender: User,
  pull_request: z.object({
    number: z.number().int().nonnegative(),
    title: text,
    merged: flag,
    draft: flag,
    html_url: link,
    user: User,
    head: z.object({ ref: z.string().min(1), sha: text }),
    base: z.object({ ref: z.string().min(1) }),
  }),
})
