import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type AgentDefinition,
  CiJobCompleted,
  CiRunCompleted,
  type EventDraft,
  FileChanged,
  type MurmurEvent,
  testAgent,
} from "murmur"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest"
import * as events from "../examples/watchtower/events.js"
import { type Loaded, Loader } from "../src/node/loader.js"
import { answerQuestion, openQuestions } from "../src/node/questions.js"
import { startMesh, type TestMesh, until } from "./support/mesh.js"

const {
  IncidentDescribed,
  IncidentOpened,
  RerunStarted,
  RunCleared,
  ShiftEntry,
  SpecChanged,
  SpecRead,
  Tick,
  Volatile,
  WorkflowFlaky,
} = events
const REACTED_MS = 30_000

let folder: string
let watchtower: Loaded
let mesh: TestMesh | undefined

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "murmur-watchtower-")))
  vi.stubEnv("MURMUR_DIR", folder)
  for (const key of ["OPENAI_API_KEY", "OLLAMA_HOST"]) vi.stubEnv(key, "") // offline, whoever runs this
  watchtower = await new Loader(["examples/watchtower"]).load()
})
beforeEach(() => void vi.stubEnv("GITHUB_TOKEN", ""))
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function agent(name: string): AgentDefinition {
  const found = watchtower.agents.find((one) => one.name === name)
  if (found === undefined) throw new Error(`watchtower has no agent ${name}`)
  return found
}

/** Reads events into a list until the list holds what is wanted. */
async function readUntil(of: TestMesh, enough: (seen: MurmurEvent[]) => boolean, from: number | "start" = "start") {
  const seen: MurmurEvent[] = []
  for await (const event of of.bus.observe(">", { from, signal: AbortSignal.timeout(REACTED_MS) })) {
    seen.push(event)
    if (enough(seen)) return seen
  }
  const types = [...new Set(seen.map(({ type }) => type))].join(", ")
  throw new Error(`Waited ${REACTED_MS} ms and saw only ${types}`)
}

const noted = (seen: MurmurEvent[], kind: string): boolean =>
  seen.some(
    (event) => event.type === ShiftEntry.type && seen.some(({ id, type }) => id === event.causationid && type === kind),
  )
const drafts = (emitted: readonly EventDraft[]) =>
  emitted.map(({ type, key, data }) => ({ type, key, ...(data as object) }))

describe("the watchtower, running", () => {
  test("reacts to CI runs, prices and files within seconds, and to its own reactions", async () => {
    mesh = await startMesh(watchtower)
    const kinds = [IncidentOpened.type, IncidentDescribed.type, Volatile.type, SpecChanged.type]
    const seen = await readUntil(mesh, (all) => kinds.every((kind) => noted(all, kind)))

    const byId = new Map(seen.map((event) => [event.id, event]))
    for (const entry of seen.filter(ShiftEntry.is)) {
      const path: string[] = []
      for (let at: MurmurEvent | undefined = entry; at !== undefined; at = byId.get(at.causationid ?? "")) {
        path.unshift(at.type)
        expect(at).toMatchObject({ correlationid: entry.correlationid, trust: "external" })
      }
      expect(entry.hops).toBe(path.length - 1)
      expect(entry.hops).toBeGreaterThanOrEqual(2)
      expect(byId.get(entry.correlationid)?.hops).toBe(0)
    }
    const definitions = Object.values(events).filter((value) => typeof value === "function")
    for (const event of seen) {
      const definition = definitions.find(({ type }) => type === event.type)
      if (definition !== undefined) expect(definition.schema.safeParse(event.data).success, event.type).toBe(true)
    }
    expect(mesh.node.hosts.map(({ stats }) => stats.deadLetters)).toEqual([0, 0, 0, 0, 0, 0, 0])
  })

  test("starts a second time with a new pass, and remembers what it knew", async () => {
    mesh = await startMesh({ ...watchtower, sources: watchtower.sources.filter(({ name }) => name === "ci-replay") })
    await readUntil(mesh, (all) => noted(all, IncidentOpened.type))
    await mesh.bus.publish(run("failure", { attempt: 1 }), { producer: "cli" })
    await readUntil(mesh, (all) => all.filter(IncidentOpened.is).length === 2)
    await mesh.node.stop()

    await mesh.addNode({ ...watchtower, sources: watchtower.sources.filter(({ name }) => name === "ci-replay") })
    await mesh.bus.publish(run("success", { attempt: 2 }), { producer: "cli" })
    const seen = await readUntil(
      mesh,
      (all) => all.some(WorkflowFlaky.is) && all.filter(IncidentOpened.is).length === 3,
    )
    expect(seen.find(WorkflowFlaky.is)).toMatchObject({ key: "acme/web", data: { what: "tests", failures: 1 } })
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
    const replayed = seen.filter(({ producer }) => producer === "ci-replay").map(({ id }) => id)
    expect(replayed).toEqual(expect.arrayContaining(["ci-replay-1-1", "ci-replay-2-1"]))
  })

  test("reads the log of a run that failed, and lets it run again when a person has allowed it", async () => {
    const sources = watchtower.sources.filter(({ name }) => name === "ci-reruns")
    mesh = await startMesh({ ...watchtower, sources })
    const { bus } = mesh
    await bus.publish(run("timed_out", { branch: "topic" }), { producer: "cli" })
    await until("somebody is asked", async () => (await openQuestions(bus)).length === 1)
    const [question] = await openQuestions(bus)
    expect(question).toMatchObject({ agent: "ci-rerun", key: "acme/web", default: "no", choices: ["no", "yes"] })
    expect(question?.question).toMatch(/^"ci-rerun" wants to call rerunFailed\(\{"provider":"github",.*"runId":"1"/)
    await answerQuestion(bus, question?.id ?? "", "yes", { by: "ada" })

    const seen = await readUntil(mesh, (all) => all.some(WorkflowFlaky.is))
    expect(seen.find(IncidentDescribed.is)).toMatchObject({
      trust: "external", // the log was written by strangers
      data: { kind: "infrastructure", mayPassAgain: true, runId: "1", evidence: expect.stringContaining("ETIMEDOUT") },
    })
    expect(seen.find(RerunStarted.is)).toMatchObject({ key: "acme/web", data: { runId: "1", what: "tests" } })
    expect(seen.filter(CiRunCompleted.is).at(-1)).toMatchObject({ producer: "ci-reruns", data: { attempt: 2 } })
  })

  test("refuses to read what an event from outside names outside of its folders", async () => {
    mesh = await startMesh({ agents: [agent("spec-reader")] })
    const root = join(folder, "watchtower", "drafts")
    mkdirSync(root, { recursive: true })
    writeFileSync(join(folder, "secret.md"), "- R-1: not for everybody")
    symlinkSync(join(folder, "secret.md"), join(root, "link.md"))
    writeFileSync(join(root, "good.md"), "- R-1: for everybody\n- [ ] really?")
    for (const [where, path] of [
      [root, "../../secret.md"],
      [root, "link.md"],
      [folder, "secret.md"],
    ]) {
      await mesh.bus.publish(fileChanged(String(where), String(path)), { producer: "cli" })
    }
    await mesh.bus.publish(fileChanged(root, "good.md"), { producer: "cli" })
    const seen = await readUntil(mesh, (all) => all.some(SpecRead.is))
    const [host] = mesh.node.hosts
    await until("three are given up", () => host?.stats.deadLetters === 3)
    expect(seen.filter(SpecRead.is).map(({ data }) => data)).toMatchObject([
      { spec: "drafts/good.md", requirements: { "R-1": "for everybody" }, openQuestions: 1 },
    ])
  })
})

describe("ci-triage", () => {
  test("opens one incident for a run, whether its job or the run itself is heard of first", async () => {
    const { emitted } = await testAgent(agent("ci-triage")).when(job("failure"), run("failure"), job("failure"))
    expect(drafts(emitted)).toMatchObject([
      { type: IncidentOpened.type, key: "acme/web", severity: "high", what: "tests / unit", failedStep: "npm test" },
    ])
  })

  test("calls it flaky when the same commit passes after it failed, and the other way round", async () => {
    const other = { commit: "other" }
    const { emitted } = await testAgent(agent("ci-triage"))
      .given(run("failure"), run("success", other))
      .when(run("success", { attempt: 2 }), run("failure", { ...other, attempt: 2 }))
    expect(drafts(emitted)).toMatchObject([
      { type: WorkflowFlaky.type, commit: "c0ffee", failures: 1 },
      { type: WorkflowFlaky.type, commit: "other", failures: 1 },
    ])
  })

  test("does not call it flaky when another commit or another workflow passes", async () => {
    const { emitted } = await testAgent(agent("ci-triage"))
      .given(run("failure"))
      .when(run("success", { commit: "fixed", runId: "2" }), run("success", { workflow: "lint", runId: "3" }))
    expect(drafts(emitted)).toMatchObject([{ type: RunCleared.type }, { type: RunCleared.type }])
  })

  test("grades by branch: what is not on the main branch can wait", async () => {
    const { emitted } = await testAgent(agent("ci-triage")).when(
      run("timed_out", { branch: "topic" }),
      run("failure", { branch: "topic", runId: "2" }),
    )
    expect(drafts(emitted)).toMatchObject([{ severity: "medium" }, { severity: "low" }])
  })
})

describe("incident-writer", () => {
  const opened = (more: object = {}) =>
    IncidentOpened({
      ...{ provider: "github", repository: "acme/web", what: "tests", runId: "1-1", severity: "high" },
      ...{ conclusion: "failure", title: "tests failed", ...more },
    })

  test("says what the log shows, and that code which is wrong does not pass again", async () => {
    const test = testAgent(agent("incident-writer"), { models: watchtower.models ?? {}, replay: "always" })
    const { emitted } = await test.when(opened(), opened({ failedStep: "Run yarn run format-check" }))
    expect(drafts(emitted)).toMatchObject([
      { type: IncidentDescribed.type, key: "acme/web", kind: "test", mayPassAgain: false, runId: "1-1" },
      { type: IncidentDescribed.type, key: "acme/web", kind: "code", mayPassAgain: false },
    ])
  })

  test("reads the log at GitHub, of the job that failed, when it has a token for it", async () => {
    const asked: (string | undefined)[] = []
    const server = createServer(({ url, headers }, response) => {
      asked.push(`${headers.authorization} ${url}`)
      const jobs = {
        jobs: [
          { id: 7, conclusion: "success" },
          { id: 8, conclusion: "failure" },
        ],
      }
      response.end(url?.endsWith("/jobs") ? JSON.stringify(jobs) : "npm error code ETIMEDOUT")
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    vi.stubEnv("GITHUB_TOKEN", "secret")
    vi.stubEnv("GITHUB_API_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const test = testAgent(agent("incident-writer"), { models: watchtower.models ?? {} })
    const { emitted, dead } = await test.when(opened({ runId: "17" }), opened({ runId: "17", repository: "../../x" }))
    expect(asked).toEqual([
      "Bearer secret /repos/acme/web/actions/runs/17/jobs",
      "Bearer secret /repos/acme/web/actions/jobs/8/logs",
    ])
    expect(drafts(emitted)).toMatchObject([{ kind: "infrastructure", mayPassAgain: true }])
    expect(dead).toMatchObject([{ error: { code: "CI_SERVER" } }])
  })
})

describe("ci-rerun", () => {
  const described = IncidentDescribed({
    ...{ provider: "github", repository: "acme/web", what: "tests", runId: "1-1", kind: "infrastructure" },
    ...{ title: "no network", cause: "no network", evidence: "ETIMEDOUT", mayPassAgain: true },
  })
  const reruns = () =>
    readdirSync(join(folder, "watchtower", "reruns")).map((file) => join(folder, "watchtower", "reruns", file))

  test("asks a person, also about events of our own, and then runs it again once", async () => {
    const test = testAgent(agent("ci-rerun"), { replay: "always" })
    const { waiting, emitted } = await test.when(described)
    expect(waiting[0]).toMatch(/^"ci-rerun" wants to call rerunFailed/)
    expect(emitted).toEqual([])
    const answered = await test.whenAnswered("yes")
    expect(drafts(answered.emitted)).toMatchObject([{ type: RerunStarted.type, key: "acme/web", runId: "1-1" }])
    expect(reruns().map((file) => JSON.parse(readFileSync(file, "utf8")))).toMatchObject([{ runId: "1-1" }])
    for (const file of reruns()) rmSync(file)
  })

  test("does nothing when nobody allows it, or when it would fail again", async () => {
    const test = testAgent(agent("ci-rerun"))
    await test.when(described)
    expect(await test.whenAnswered("no")).toMatchObject({ emitted: [], dead: [] })
    const hopeless = { ...described, data: { ...(described.data as object), mayPassAgain: false } }
    expect(await test.when(hopeless)).toMatchObject({ emitted: [], waiting: [], skipped: [{}] })
    expect(reruns()).toEqual([])
  })
})

describe("volatility", () => {
  const at = (month: number, price: number): EventDraft =>
    Tick(
      { symbol: "X", price, day: `2000-${String((month % 12) + 1).padStart(2, "0")}-01` },
      { time: new Date(6_000_000 + month * 500) },
    )
  const year = (price: (month: number) => number): EventDraft[] =>
    Array.from({ length: 13 }, (_, month) => at(month, price(month)))

  test("raises an alert for a price that jumps, once a window", async () => {
    const { emitted } = await testAgent(agent("volatility")).when(...year((month) => (month % 2 === 0 ? 100 : 150)))
    expect(drafts(emitted)).toMatchObject([{ type: Volatile.type, key: "X", low: 100, high: 150, from: "2000-01-01" }])
  })

  test("leaves a price alone that grows steadily", async () => {
    const { emitted } = await testAgent(agent("volatility")).when(...year((month) => 100 * 1.1 ** month))
    expect(emitted).toEqual([])
  })
})

describe("spec-watch", () => {
  const read = (requirements: Record<string, string>, sha256: string | undefined): EventDraft =>
    SpecRead({ spec: "specs/a.md", requirements, openQuestions: 0, sha256 })

  test("says which requirements are new, gone and reworded, and when nothing changed", async () => {
    const { emitted } = await testAgent(agent("spec-watch")).when(
      read({ "R-1": "one", "R-2": "two" }, "aa"),
      read({ "R-1": "one", "R-2": "two" }, "aa"),
      read({ "R-2": "deux", "R-3": "trois" }, "bb"),
      read({}, undefined),
    )
    expect(drafts(emitted)).toMatchObject([
      { change: "added", added: ["R-1", "R-2"] },
      { change: "touched", added: [], removed: [], reworded: [] },
      { change: "edited", added: ["R-3"], removed: ["R-1"], reworded: ["R-2"] },
      { change: "removed", removed: ["R-2", "R-3"] },
    ])
  })
})

function run(conclusion: "success" | "failure" | "timed_out", more: object = {}): EventDraft {
  const data = { provider: "github", repository: "acme/web", runId: "1", workflow: "tests", branch: "main" }
  return CiRunCompleted({ ...data, commit: "c0ffee", conclusion, ...more })
}

function job(conclusion: "success" | "failure"): EventDraft {
  const data = { provider: "github", repository: "acme/web", runId: "1", workflow: "tests", branch: "main" }
  return CiJobCompleted({ ...data, commit: "c0ffee", conclusion, jobId: "11", job: "unit", failedStep: "npm test" })
}

function fileChanged(root: string, path: string): EventDraft {
  return FileChanged({ root, path, sizeBytes: 1, modifiedAt: new Date().toISOString() })
}
