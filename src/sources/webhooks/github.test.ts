import { createHmac } from "node:crypto"
import definitions from "@octokit/webhooks-examples" with { type: "json" }
import { sign } from "@octokit/webhooks-methods"
import { afterEach, describe, expect, it, vi } from "vitest"
import { type RecordingContext, recordSource, until } from "../../../test/support/source-context.js"
import type { SourceDefinition, WebhookReply } from "../source.js"
import { CODE_HOST_EVENTS } from "./events.js"
import { github } from "./github.js"
import { mapGithub } from "./github-map.js"
import { verifySignature } from "./secrets.js"

interface Definition {
  name: string
  examples: Record<string, unknown>[]
}

// Their types promise more than the payloads hold; a receiver should not believe them either.
const examples = definitions as unknown as Definition[]
const SECRET = "It's a Secret to Everybody"

afterEach(() => vi.unstubAllEnvs())

function example(name: string, action?: string): Record<string, unknown> {
  const found = examples
    .find((definition) => definition.name === name)
    ?.examples.find((payload) => action === undefined || payload.action === action)
  if (found === undefined) throw new Error(`no example of ${name} ${action ?? ""}`)
  return found
}

interface Sending {
  event?: string
  delivery?: string
  secret?: string
  headers?: Record<string, string | undefined>
  body?: string
}

function post(source: SourceDefinition, record: RecordingContext, payload: unknown, sending: Sending = {}) {
  const body = sending.body ?? JSON.stringify(payload)
  const signature = createHmac("sha256", sending.secret ?? SECRET)
    .update(body)
    .digest("hex")
  const headers = new Headers()
  const given: Record<string, string | undefined> = {
    "content-type": "application/json",
    "x-github-event": sending.event ?? "workflow_run",
    "x-github-delivery": sending.delivery ?? "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "x-hub-signature-256": `sha256=${signature}`,
    ...sending.headers,
  }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) headers.set(name, value)
  const [endpoint] = source.webhooks ?? []
  if (endpoint === undefined) throw new Error("no endpoint")
  return endpoint.handle({ headers, body: Buffer.from(body) }, record.ctx)
}

function setUp(options: Parameters<typeof github>[0] = { secrets: [SECRET] }, recording = {}) {
  const source = github(options)
  const record = recordSource(source, recording)
  const send = (payload: unknown, sending?: Sending): Promise<WebhookReply> => post(source, record, payload, sending)
  return { source, record, send }
}

describe("a GitHub signature", () => {
  const body = Buffer.from("Hello, World!")
  const vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

  it("is the one that GitHub publishes for its example", () => {
    expect(verifySignature([SECRET], body, vector)).toBe(true)
  })

  it("is what GitHub's own library makes", async () => {
    const text = JSON.stringify(example("push"))
    expect(verifySignature(["s3cret"], Buffer.from(text), await sign("s3cret", text))).toBe(true)
  })

  it("may be of any of the secrets", () => {
    expect(verifySignature(["new", SECRET], body, vector)).toBe(true)
    expect(verifySignature([SECRET, "new"], body, vector)).toBe(true)
    expect(verifySignature(["new", "newer"], body, vector)).toBe(false)
  })

  it.each([
    ["missing", null],
    ["empty", ""],
    ["of another body", `sha256=${createHmac("sha256", SECRET).update("Hello, World?").digest("hex")}`],
    ["SHA-1", `sha1=${createHmac("sha1", SECRET).update(body).digest("hex")}`],
    ["too short", vector.slice(0, -2)],
    ["too long", `${vector}00`],
    ["not hexadecimal", `sha256=${"zz".repeat(32)}`],
    ["without its prefix", vector.slice("sha256=".length)],
    ["all zeros", `sha256=${"00".repeat(32)}`],
  ])("is refused when it is %s", (_what, signature) => {
    expect(verifySignature([SECRET], body, signature)).toBe(false)
  })

  it("is over the raw bytes, also where they are no UTF-8", () => {
    const bytes = Uint8Array.from([0x7b, 0xff, 0xfe, 0x7d])
    const signature = `sha256=${createHmac("sha256", SECRET).update(bytes).digest("hex")}`
    expect(verifySignature([SECRET], bytes, signature)).toBe(true)
  })
})

describe("mapGithub", () => {
  it("turns each of GitHub's example payloads into events that fit their schemas, or leaves it alone on purpose", () => {
    const mapped = new Map<string, number>()
    for (const { name, examples: payloads } of examples) {
      for (const payload of payloads) {
        for (const draft of mapGithub(name, payload)) {
          const definition = CODE_HOST_EVENTS.find((event) => event.type === draft.type)
          const parsed = definition?.schema.safeParse(draft.data)
          expect(parsed?.error?.issues ?? [], `${name} -> ${draft.type}`).toEqual([])
          expect(parsed?.data).toEqual(draft.data)
          expect(draft.key).toMatch(/^[^/]+\/[^/]+$/)
          mapped.set(`${name} ${draft.type}`, (mapped.get(`${name} ${draft.type}`) ?? 0) + 1)
        }
      }
    }
    expect(Object.fromEntries(mapped)).toEqual({
      "pull_request repo.pull_request.closed": 2,
      "pull_request repo.pull_request.opened": 6,
      "pull_request repo.pull_request.updated": 21,
      "push repo.pushed": 2,
      "push repo.tag.pushed": 1,
      "workflow_job ci.job.completed": 2,
      "workflow_run ci.run.completed": 3,
      "workflow_run ci.run.requested": 2,
    })
  })

  it("reads a completed run in full", () => {
    const { workflow_run, ...rest } = example("workflow_run", "completed") as { workflow_run: object }
    const run = { ...workflow_run, name: "CI", conclusion: "failure", actor: { login: "a" }, triggering_actor: null }
    const [draft] = mapGithub("workflow_run", { ...rest, workflow_run: run })
    expect(draft).toMatchObject({
      type: "ci.run.completed",
      key: "Codertocat/Hello-World",
      time: "2021-12-16T19:37:22.000Z",
      data: {
        provider: "github",
        repository: "Codertocat/Hello-World",
        runId: "1589141559",
        workflow: "CI",
        attempt: 1,
        trigger: "workflow_dispatch",
        branch: "main",
        conclusion: "failure",
        actor: "a",
        logUrl: "https://api.github.com/repos/octo-org/octo-repo/actions/runs/1589141559/logs",
        completedAt: "2021-12-16T19:37:22.000Z",
      },
    })
  })

  it("says started for a run in progress, unknown for a conclusion it has never heard of, and names the step that failed", () => {
    const run = example("workflow_run", "completed") as { workflow_run: object }
    expect(mapGithub("workflow_run", { ...run, action: "in_progress" })[0]?.type).toBe("ci.run.started")
    const odd = { ...run, workflow_run: { ...run.workflow_run, conclusion: "exploded" } }
    expect(mapGithub("workflow_run", odd)[0]?.data).toMatchObject({ conclusion: "unknown" })
    const job = mapGithub("workflow_job", example("workflow_job", "completed"))[0]?.data
    expect(job).toMatchObject({ conclusion: "failure", job: "linters", failedStep: expect.any(String) })
  })

  it("says merged for a pull request that was closed by a merge", () => {
    const closed = example("pull_request", "closed") as { pull_request: object }
    const merged = { ...closed, pull_request: { ...closed.pull_request, merged: true } }
    expect(mapGithub("pull_request", merged)[0]?.type).toBe("repo.pull_request.merged")
  })

  it("leaves deleted branches and tags alone, and drops links that no browser should open", () => {
    const push = example("push") as Record<string, unknown>
    expect(mapGithub("push", { ...push, deleted: true })).toEqual([])
    const pr = example("pull_request", "opened") as { pull_request: object }
    const evil = { ...pr, pull_request: { ...pr.pull_request, html_url: "javascript:alert(1)" } }
    expect(mapGithub("pull_request", evil)[0]?.data).not.toHaveProperty("url")
  })
})

describe("the GitHub endpoint", () => {
  it("publishes a signed delivery under its delivery id and answers after the ack", async () => {
    let acknowledge = (): void => {}
    const acked = new Promise<void>((resolve) => {
      acknowledge = resolve
    })
    const { record, send } = setUp(undefined, { onPublish: () => acked })
    let answered = false
    const reply = send(example("workflow_run", "completed")).finally(() => {
      answered = true
    })
    await until("it is being published", () => record.inflight.now === 1)
    expect(answered).toBe(false)
    acknowledge()
    expect(await reply).toEqual({ status: 200, body: { published: ["gh:72d3162e-cc78-11e3-81ab-4c9367dc0958"] } })
    expect(record.published).toMatchObject([
      { id: "gh:72d3162e-cc78-11e3-81ab-4c9367dc0958", type: "ci.run.completed" },
    ])
  })

  it.each([
    ["no signature", { "x-hub-signature-256": undefined }],
    ["a wrong signature", { "x-hub-signature-256": `sha256=${"ab".repeat(32)}` }],
    ["a short signature", { "x-hub-signature-256": "sha256=ab" }],
    ["a SHA-1 signature only", { "x-hub-signature-256": undefined, "x-hub-signature": "sha1=00" }],
  ])("answers 401 to %s, and publishes and remembers nothing", async (_what, headers) => {
    const { record, send } = setUp()
    expect((await send(example("push"), { event: "push", headers })).status).toBe(401)
    expect(record.published).toEqual([])
    expect(record.memory.size).toBe(0)
    expect(record.logs.filter((line) => line.level === "warn")).toHaveLength(1)
  })

  it("answers 401 to a body that was written anew after it was signed", async () => {
    const { send } = setUp()
    const payload = example("push")
    const signed = createHmac("sha256", SECRET).update(JSON.stringify(payload)).digest("hex")
    const headers = { "x-hub-signature-256": `sha256=${signed}` }
    const reply = await send(payload, { event: "push", headers, body: JSON.stringify(payload, null, 2) })
    expect(reply.status).toBe(401)
  })

  it("answers 503 and says what to set while no secret is configured, also to a request signed with nothing", async () => {
    vi.stubEnv("GITHUB_WEBHOOK_SECRET", "")
    const { record, send } = setUp({})
    const reply = await send(example("push"), { event: "push", secret: "x" })
    expect(reply.status).toBe(503)
    expect(JSON.stringify(reply.body)).toContain("GITHUB_WEBHOOK_SECRET")
    expect(record.published).toEqual([])
  })

  it("takes its secrets from the environment, several while one is rotated", async () => {
    vi.stubEnv("GITHUB_WEBHOOK_SECRET", "old, new")
    const { send } = setUp({})
    expect((await send(example("push"), { event: "push", secret: "old" })).status).toBe(200)
    expect((await send(example("workflow_run"), { secret: "new" })).status).toBe(200)
    expect((await send(example("workflow_run"), { secret: "other" })).status).toBe(401)
  })

  it("answers 200 to a ping, 202 to what it leaves alone, 400 to what is no JSON, 422 to what is not as documented", async () => {
    const { record, send } = setUp()
    expect((await send(example("ping"), { event: "ping" })).status).toBe(200)
    expect(await send(example("star"), { event: "star" })).toEqual({ status: 202, body: { ignored: true } })
    expect((await send(undefined, { body: "{not json" })).status).toBe(400)
    expect((await send({}, { headers: { "x-github-event": undefined } })).status).toBe(400)
    const reply = await send({ action: "completed" })
    expect(reply.status).toBe(422)
    expect(JSON.stringify(reply.body)).toContain("workflow_run")
    expect(record.published).toEqual([])
  })

  it("reads a form as GitHub sends it", async () => {
    const { record, send } = setUp()
    const body = new URLSearchParams({ payload: JSON.stringify(example("push")) }).toString()
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    expect((await send(undefined, { event: "push", body, headers })).status).toBe(200)
    expect(record.types()).toEqual(["repo.tag.pushed"])
    expect((await send(undefined, { event: "push", body: "other=1", headers })).status).toBe(400)
  })

  it("publishes once what is sent again, also under another delivery id, or while the first is under way", async () => {
    const { record, send } = setUp()
    const payload = example("workflow_run", "completed")
    const replies = await Promise.all([send(payload), send(payload), send(payload, { delivery: "forged-1" })])
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200])
    expect((await send(payload, { delivery: "forged-2" })).body).toEqual({ duplicate: true })
    expect((await send(payload, { event: "workflow_job" })).status).toBe(422)
    expect(record.published).toHaveLength(1)
    expect(record.repeated).toEqual([])
  })

  it("throws when the publish fails, so that the sender is told 503, and takes the redelivery", async () => {
    let failing = true
    const onPublish = (): void => {
      if (failing) throw new Error("no responders")
    }
    const { record, send } = setUp(undefined, { onPublish })
    await expect(send(example("push"), { event: "push" })).rejects.toThrow("no responders")
    failing = false
    expect((await send(example("push"), { event: "push" })).status).toBe(200)
    expect(record.published).toHaveLength(1)
  })

  it("gives a delivery without a usable id the hash of its body as id", async () => {
    const { record, send } = setUp()
    await send(example("push"), { event: "push", delivery: "a b" })
    expect(record.published[0]?.id).toMatch(/^gh:[\w-]{43}$/)
  })

  it("forgets deliveries after three days", async () => {
    const hours = 60 * 60 * 1_000
    const memory = new Map([
      ["seen.old", JSON.stringify({ id: "gh:1", at: Date.now() - 73 * hours })],
      ["seen.young", JSON.stringify({ id: "gh:2", at: Date.now() - 71 * hours })],
    ])
    const { source, record } = setUp(undefined, { memory })
    const run = source.run?.(record.ctx)
    await until("the old one is forgotten", () => !memory.has("seen.old"))
    record.stop()
    await run
    expect([...memory.keys()]).toEqual(["seen.young"])
  })

  it("has the path and the limit of its provider, or the name that it is given", () => {
    expect(github().webhooks).toMatchObject([{ path: "/hooks/github", bodyBytesMax: 25 * 1024 * 1024 }])
    expect(github({ name: "forge" })).toMatchObject({ name: "forge", webhooks: [{ path: "/hooks/forge" }] })
    expect(() => github({ secret: "x" } as never)).toThrow('unknown option "secret"')
    expect(() => github({ secrets: [""] })).toThrow("secrets must be a list")
  })
})
