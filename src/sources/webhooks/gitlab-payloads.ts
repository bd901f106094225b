import { z } from "zod"
import { count, flag, id, link, maybe, text, time } from "./tolerant.js"

/** What is read of GitLab's payloads, and no more. Required is only what an event cannot do without. */

const User = maybe({ username: text, name: text })
const Project = z.object({ path_with_namespace: z.string().min(1), web_url: link })

export const Pipeline = z.object({
  object_kind: z.literal("pipeline"),
  project: Project,
  user: User,
  commit: maybe({ title: text, message: text }),
  object_attributes: z.object({
    id,
    name: text,
    ref: text,
    sha: text,
    source: text,
    status: z.string(),
    url: link,
    created_at: time,
    finished_at: time,
  }),
})

export const Job = z.object({
  object_kind: z.literal("build"),
  project: Project.optional().catch(undefined),
  repository: maybe({ homepage: link }),
  user: User,
  runner: maybe({ description: text }),
  ref: text,
  sha: text,
  pipeline_id: id,
  build_id: id,
  build_name: z.string().min(1),
  build_stage: text,
  build_status: z.string(),
  build_failure_reason: text,
  build_started_at: time,
  build_finished_at: time,
})

export const Push = z.object({
  object_kind: z.enum(["push", "tag_push"]),
  ref: z.string().min(1),
  before: z.string().min(1),
  after: z.string().min(1),
  checkout_sha: text,
  user_username: text,
  user_name: text,
  project: Project,
  total_commits_count: count,
  commits: z
    .array(
      z.object({
        id: z.string().min(1),
        message: text,
        url: link,
        timestamp: time,
        author: maybe({ name: text }),
      }),
    )
    .catch([]),
})

export const MergeRequest = z.object({
  object_kind: z.literal("merge_request"),
  project: Project,
  user: User,
  object_attributes: z.object({
    iid: z.number().int().nonnegative(),
    title: text,
    // Missing when somebody tries the hook from its page.
    action: text,
    state: text,
    source_branch: z.string().min(1),
    target_branch: z.string().min(1),
    draft: flag,
    work_in_progress: flag,
    url: link,
    last_commit: maybe({ id: text }),
  }),
})
