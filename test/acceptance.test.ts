import { createHmac } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { until } from "./support/mesh.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"
import { run } from "./support/run.js"

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url))
const FIXTURE = fileURLToPath(new URL("./fixtures/acceptance.ts", import.meta.url))
const SECRET = "a secret for the test"

let cwd: string
let node: NodeProcess
beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "murmur-acceptance-"))
  mkdirSync(join(cwd, "files"))
  node = await startUp()
}, 60_000)
afterAll(async () => {
  if (node?.child.exitCode === null) expect(await node.terminate()).toBe(0)
  rmSync(cwd, { recursive: true, force: true })
}, 60_000)

function startUp(): Promise<NodeProcess> {
  return startNodeProcess([FIXTURE, "--port", "0", "--nats-port", "0"], {
    cwd,
    env: { GITHUB_WEBHOOK_SECRET: SECRET, ACCEPTANCE_FILES: join(cwd, "files") },
    timeoutMs: 60_000,
  })
}

async function murmur(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return run(process.execPath, [MAIN, ...args], { cwd, timeoutMs: 30_000 })
}

type Json = Record<string, unknown> & { id: string; type: string; effects: Json[]; correlationid: string }

/** Waits for an event in `murmur tail --json` whose data or key speaks of `text`. */
async function tailed(pattern: string, text: string): Promise<Json> {
  let found: Json | undefined
  await until(`${pattern} of ${text}`, async () => {
    const lines = await run(process.execPath, [MAIN, "tail", pattern, "--from-seq", "1", "--json"], {
      cwd,
      timeoutMs: 1_500,
    })
    const events = lines.stdout.split("\n").filter((line) => line.endsWith("}"))
    found = events.map((line) => JSON.parse(line) as Json).find((event) => JSON.stringify(event).includes(text))
    return found !== undefined
  })
  return found as Json
}

async function traceTypes(id: string): Promise<string[]> {
  const { stdout } = await murmur("trace", id, "--json")
  const types: string[] = []
  const walk = (event: Json): void => {
    types.push(event.type)
    event.effects.forEach(walk)
  }
  walk(JSON.parse(stdout))
  return types
}

async function signed(payload: unknown, secret: string): Promise<Response> {
  const body = JSON.stringify(payload)
  return fetch(`${node.ready.http}/hooks/github`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": "workflow_run",
      "x-github-delivery": crypto.randomUUID(),
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    },
    body,
  })
}

/** A real payload of a completed run, made a failure. */
function failedRun(): unknown {
  const examples = createRequire(import.meta.url)("@octokit/webhooks-examples") as {
    name: string
    examples: unknown[]
  }[]
  const runs = examples.find(({ name }) => name === "workflow_run")?.examples ?? []
  const completed = runs.find((example) => (example as { action: string }).action === "completed")
  const payload = structuredClone(completed) as { workflow_run: { conclusion: string } }
  payload.workflow_run.conclusion = "failure"
  return payload
}

test("a published event, a signed GitHub delivery and a touched file each lead to reactions two hops away", async () => {
  const published = await murmur("publish", "desk.note", "--key", "hello", "--data", '{"text":"hello"}', "--json")
  expect(published.code).toBe(0)
  const { id, seq } = JSON.parse(published.stdout)
  expect(seq).toBeGreaterThan(0)
  await tailed("desk.filed", "desk.note hello")
  expect(await traceTypes(id)).toEqual(["desk.note", "desk.noted", "desk.filed"])

  const answer = await signed(failedRun(), SECRET)
  expect(answer.status).toBeGreaterThanOrEqual(200)
  expect(answer.status).toBeLessThan(300)
  const filed = await tailed("desk.filed", "ci.run.completed")
  expect(await traceTypes(filed.id)).toEqual(["ci.run.completed", "desk.noted", "desk.filed"])

  writeFileSync(join(cwd, "files", "plan.md"), "# plan")
  const touched = await tailed("desk.filed", "plan.md")
  expect(await traceTypes(touched.id)).toEqual(["file.created", "desk.noted", "desk.filed"])
}, 60_000)

test("a wrong signature is answered 401 and publishes nothing", async () => {
  const before = JSON.parse((await murmur("publish", "probe.one", "--data", "{}", "--json")).stdout).seq
  expect((await signed(failedRun(), "another secret")).status).toBe(401)
  const after = JSON.parse((await murmur("publish", "probe.two", "--data", "{}", "--json")).stdout).seq
  expect(after).toBe(before + 1)
})

test("what is left over in the dead letters is listed, shown, retried and dropped", async () => {
  await murmur("publish", "desk.note", "--key", "bad", "--data", '{"text":7}')
  let letters: { id: string; reason: string; agent: string }[] = []
  await until("the letter is there", async () => {
    letters = JSON.parse((await murmur("dead", "ls", "--json")).stdout)
    return letters.length === 1
  })
  expect(letters[0]).toMatchObject({ agent: "desk", reason: "schema" })
  const id = letters[0]?.id ?? ""
  expect((await murmur("dead", "show", id)).stdout).toContain("text")
  expect((await murmur("dead", "retry", id)).code).toBe(0)
  await until("it failed again", async () => JSON.parse((await murmur("dead", "ls", "--json")).stdout).length === 1)
  expect((await murmur("dead", "drop", id)).code).toBe(2)
  expect((await murmur("dead", "drop", id, "--yes")).code).toBe(0)
  expect(JSON.parse((await murmur("dead", "ls", "--json")).stdout)).toEqual([])
}, 60_000)

test("stopped and started in the same folder, the mesh resumes where it was", async () => {
  expect(await node.terminate()).toBe(0)
  expect((await murmur("agents")).code).toBe(1)
  node = await startUp()
  const agents = JSON.parse((await murmur("agents", "--json")).stdout)
  expect(agents).toMatchObject([
    { name: "archive", state: "running", lag: 0 },
    { name: "desk", state: "running", lag: 0 },
  ])
  expect((await murmur("publish", "desk.note", "--data", '{"text":"again"}', "--key", "again")).code).toBe(0)
  await tailed("desk.filed", "desk.note again")
}, 60_000)
