import { afterEach, describe, expect, it, vi } from "vitest"
import { recordSource } from "../../../test/support/source-context.js"
import type { WebhookReply } from "../source.js"
import { CODE_HOST_EVENTS } from "./events.js"
import { gitlab } from "./gitlab.js"
import { mapGitlab } from "./gitlab-map.js"

const SHA = "bcbb5ec396a2c0f828686f14fac9b80b780504f2"
const ZEROS = "0".repeat(40)
const project = {
  id: 1,
  name: "Widgets",
  web_url: "https://gitlab.example.com/tools/core/widgets",
  path_with_namespace: "tools/core/widgets",
  avatar_url: null,
}
const user = { id: 1, name: "Ada", username: "ada", email: "[REDACTED]" }

const pipeline = (status: string, more: object = {}) => ({
  object_kind: "pipeline",
  object_attributes: {
    id: 31,
    iid: 3,
    name: null,
    ref: "main",
    tag: false,
    sha: SHA,
    source: "push",
    status,
    created_at: "2016-08-12 15:23:28 UTC",
    finished_at: status === "running" ? null : "2016-08-12 15:26:29 UTC",
    ...more,
  },
  merge_request: null,
  user,
  project,
  commit: { id: SHA, title: "Fix the widget", message: "Fix the widget\n" },
  builds: [],
})

const job = (status: string, more: object = {}) => ({
  object_kind: "build",
  ref: "main",
  sha: SHA,
  build_id: 1977,
  build_name: "test",
  build_stage: "test",
  build_status: status,
  build_started_at: null,
  build_finished_at: "2021-02-23 02:41:37 UTC",
  build_failure_reason: "script_failure",
  pipeline_id: 2366,
  runner: null,
  user,
  project,
  repository: { name: "widgets", homepage: "https://gitlab.example.com/tools/core/widgets" },
  ...more,
})

const push = (more: object = {}) => ({
  object_kind: "push",
  ref: "refs/heads/main",
  before: "95790bf891e76fee5e1747ab589903a6a1f80f22",
  after: SHA,
  checkout_sha: SHA,
  user_name: "Ada",
  user_username: "ada",
  project,
  commits: [
    {
      id: SHA,
      message: "Fix the widget",
      timestamp: "2011-12-12T14:27:31+02:00",
      url: "https://gitlab.example.com/tools/core/widgets/commit/bcbb5ec",
      author: { name: "Ada", email: "ada@example.com" },
    },
  ],
  total_commits_count: 4,
  ...more,
})

const mergeRequest = (action: string | undefined) => ({
  object_kind: "merge_request",
  user,
  project,
  object_attributes: {
    iid: 7,
    title: "Draft: widgets",
    action,
    state: "opened",
    source_branch: "feature",
    target_branch: "main",
    draft: true,
    last_commit: { id: SHA },
    url: "https://gitlab.example.com/tools/core/widgets/-/merge_requests/7",
  },
})

const tag = push({
  object_kind: "tag_push",
  ref: "refs/tags/v1.0.0",
  before: ZEROS,
  commits: [],
  total_commits_count: 0,
})

describe("mapGitlab", () => {
  it.each([
    ["a pending pipeline", pipeline("pending"), "ci.run.requested"],
    ["a running pipeline", pipeline("running"), "ci.run.started"],
    ["a failed pipeline", pipeline("failed"), "ci.run.completed"],
    ["a job that ended", job("success"), "ci.job.completed"],
    ["a job of an older version", job("failed", { project: undefined }), "ci.job.completed"],
    ["a push", push(), "repo.pushed"],
    ["a push without commits", push({ commits: null, total_commits_count: null }), "repo.pushed"],
    ["a tag", tag, "repo.tag.pushed"],
    ["an opened merge request", mergeRequest("open"), "repo.pull_request.opened"],
    ["a reopened merge request", mergeRequest("reopen"), "repo.pull_request.opened"],
    ["an approved merge request", mergeRequest("approved"), "repo.pull_request.updated"],
    ["a merged merge request", mergeRequest("merge"), "repo.pull_request.merged"],
    ["a closed merge request", mergeRequest("close"), "repo.pull_request.closed"],
  ])("turns %s into one event that fits its schema", (_what, payload, type) => {
    const drafts = mapGitlab(payload)
    expect(drafts.map((draft) => draft.type)).toEqual([type])
    const definition = CODE_HOST_EVENTS.find((event) => event.type === type)
    expect(definition?.schema.safeParse(drafts[0]?.data).error?.issues ?? []).toEqual([])
    expect(drafts[0]?.key).toBe("tools/core/widgets")
  })

  it.each([
    ["a pipeline that waits for a person", pipeline("manual")],
    ["a pipeline with a state called constructor", pipeline("constructor")],
    ["a running job", job("running")],
    ["a deleted branch", push({ after: ZEROS, checkout_sha: null })],
    ["a deleted tag", { ...tag, after: ZEROS }],
    ["a merge request that tries the hook", mergeRequest(undefined)],
    ["an issue", { object_kind: "issue" }],
    ["a system hook", { event_name: "project_create" }],
  ])("leaves %s alone", (_what, payload) => {
    expect(mapGitlab(payload)).toEqual([])
  })

  it("reads times in GitLab's own form, and derives the links that it leaves out", () => {
    const [draft] = mapGitlab(job("failed"))
    expect(draft).toMatchObject({
      time: "2021-02-23T02:41:37.000Z",
      data: {
        provider: "gitlab",
        runId: "2366",
        jobId: "1977",
        conclusion: "failure",
        url: "https://gitlab.example.com/tools/core/widgets/-/jobs/1977",
        logUrl: "https://gitlab.example.com/tools/core/widgets/-/jobs/1977/raw",
      },
    })
    expect(mapGitlab(pipeline("canceled"))[0]?.data).toMatchObject({
      workflow: "pipeline",
      title: "Fix the widget",
      conclusion: "cancelled",
      startedAt: "2016-08-12T15:23:28.000Z",
      completedAt: "2016-08-12T15:26:29.000Z",
      url: "https://gitlab.example.com/tools/core/widgets/-/pipelines/31",
    })
    const slow = job("failed", { build_failure_reason: "job_execution_timeout" })
    expect(mapGitlab(slow)[0]?.data).toMatchObject({ conclusion: "timed_out" })
  })
})

describe("the GitLab endpoint", () => {
  afterEach(() => vi.unstubAllEnvs())

  function setUp(options: Parameters<typeof gitlab>[0] = { secrets: ["token-1", "token-2"] }) {
    const source = gitlab(options)
    const record = recordSource(source)
    const send = async (payload: unknown, headers: Record<string, string> = {}): Promise<WebhookReply> => {
      const [endpoint] = source.webhooks ?? []
      if (endpoint === undefined) throw new Error("no endpoint")
      const sent = new Headers({ "x-gitlab-event": "Push Hook", "x-gitlab-token": "token-1", ...headers })
      return endpoint.handle({ headers: sent, body: Buffer.from(JSON.stringify(payload)) }, record.ctx)
    }
    return { source, record, send }
  }

  it("publishes under the idempotency key, which is the same for each retry", async () => {
    const { record, send } = setUp()
    const headers = { "idempotency-key": "f5e57ebb-5f26-4ed5-b40b-3ac6a3d6a5b4", "x-gitlab-token": "token-2" }
    expect(await send(push(), headers)).toEqual({
      status: 200,
      body: { published: [`gl:${headers["idempotency-key"]}`] },
    })
    expect((await send(push({ user_name: "Ada B." }), headers)).body).toEqual({ duplicate: true })
    expect(record.published).toHaveLength(1)
  })

  it("tells deliveries of older versions apart by event UUID and body", async () => {
    const { record, send } = setUp()
    const headers = { "x-gitlab-event-uuid": "13792a34-cac6-4fda-95a8-c58e00a3954e" }
    await send(push(), headers)
    await send(push(), headers)
    await send(pipeline("failed"), { ...headers, "x-gitlab-event": "Pipeline Hook" })
    expect(record.published.map((draft) => draft.id)).toEqual([
      expect.stringMatching(/^gl:13792a34-cac6-4fda-95a8-c58e00a3954e-/),
      expect.stringMatching(/^gl:13792a34-cac6-4fda-95a8-c58e00a3954e-/),
    ])
  })

  it.each(["", "token", "token-11", "TOKEN-1", "é"])(
    "answers 401 to the token %j and publishes nothing",
    async (token) => {
      const { record, send } = setUp()
      expect((await send(push(), { "x-gitlab-token": token })).status).toBe(401)
      expect(record.published).toEqual([])
    },
  )

  it("answers 503 and says what to set while no secret is configured", async () => {
    vi.stubEnv("GITLAB_WEBHOOK_SECRET", " , ")
    const { send } = setUp({})
    const reply = await send(push(), { "x-gitlab-token": "" })
    expect(reply.status).toBe(503)
    expect(JSON.stringify(reply.body)).toContain("GITLAB_WEBHOOK_SECRET")
  })

  it("answers 202 to what it leaves alone and 422 to what is not as documented", async () => {
    const { send } = setUp()
    expect((await send({ object_kind: "note" })).status).toBe(202)
    expect((await send({ object_kind: "push" })).status).toBe(422)
    expect((await send(null)).status).toBe(422)
  })
})
