import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { derivedId } from "../../src/bus/ids.js"
import { openBuckets, readAll } from "../../src/node/buckets.js"
import { DeadLetters, type StoredLetter } from "../../src/node/dead-letter-store.js"
import { QuestionRecord } from "../../src/node/questions.js"
import { buildCli } from "../cli/support/cli.js"
import { take, until } from "../support/mesh.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"

const FIXTURE = fileURLToPath(new URL("../fixtures/tooling.ts", import.meta.url))
const KEY = derivedId("till", "bill-1", 0)

let folder: string
const scenes = new Set<Scene>()

beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-tools-"))
})
afterAll(async () => {
  for (const scene of scenes) await scene.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A server of its own, on which a node dies in a tool call and another one goes on. */
class Scene {
  readonly #charges: string
  readonly #nodes: NodeProcess[] = []

  private constructor(
    name: string,
    private readonly env: Record<string, string>,
    private readonly server: TestServer,
    readonly bus: Bus,
  ) {
    this.#charges = join(folder, `${name}.txt`)
    writeFileSync(this.#charges, "")
  }

  /** Opens a scene in which the first node has died at a point of its one tool call, and the second is up. */
  static async afterCrash(point: string, env: Record<string, string>): Promise<Scene> {
    const scene = await Scene.open(point, env, { MURMUR_CRASH_POINT: `${point}:kill` })
    const [first] = scene.#nodes
    await until("it is dead", () => first?.child.signalCode === "SIGKILL")
    await scene.#startNode({})
    return scene
  }

  /** Opens a scene with one node, which has an event to handle. */
  static async open(name: string, env: Record<string, string>, more: Record<string, string> = {}): Promise<Scene> {
    const server = await startTestServer()
    const bus = await openBus({ url: server.url, name: "tester" })
    await bus.ensureStreams()
    const scene = new Scene(`${name}-${Object.values(env).join("-")}`, env, server, bus)
    scenes.add(scene)
    await scene.#startNode(more)
    const draft = { type: "till.billed", key: "ada", data: { customer: "ada", sum: 7 }, id: "bill-1" }
    await bus.publish(draft, { producer: "cli" })
    return scene
  }

  async close(): Promise<void> {
    scenes.delete(this)
    for (const { child, kill9 } of this.#nodes) if (child.exitCode === null && child.signalCode === null) await kill9()
    await this.bus.close()
    await this.server.stop()
  }

  async #startNode(env: Record<string, string>): Promise<NodeProcess> {
    const all = { ...this.env, ...env, CHARGES_FILE: this.#charges }
    const node = await startNodeProcess([FIXTURE, "--nats", this.server.url, "--no-http"], { env: all })
    this.#nodes.push(node)
    return node
  }

  /** The idempotency keys of the calls that did something. */
  charges(): string[] {
    return readFileSync(this.#charges, "utf8").trim().split("\n").filter(Boolean)
  }

  async receipt(): Promise<string> {
    const [paid] = await take(this.bus, "till.paid", 1)
    return String((paid?.data as { receipt?: string } | undefined)?.receipt)
  }

  async questions(): Promise<QuestionRecord[]> {
    return readAll((await openBuckets(this.bus)).questions, QuestionRecord)
  }

  async question(): Promise<QuestionRecord> {
    const { questions } = await openBuckets(this.bus)
    for await (const change of questions.watch({ signal: AbortSignal.timeout(20_000) })) {
      if (!("synced" in change) && change.value !== undefined) return QuestionRecord.parse(change.value)
    }
    throw new Error("Waited 20 s for a question")
  }

  async untilAnswered({ id }: QuestionRecord): Promise<void> {
    const { questions } = await openBuckets(this.bus)
    await until("the question is off the list", async () => (await questions.get(id)) === undefined)
  }

  /** As `murmur ask answer` does. */
  async answer({ id, step, position }: QuestionRecord, answer: string): Promise<void> {
    const data = { kind: "answer", step, position, question: id, answer, by: "tester" }
    await this.bus.publish({ type: "murmur.inbox.till", key: "ada", data }, { producer: "cli" })
  }
}

/** What the file of charges holds at the end, by effect and by what had happened at the crash. */
const CALLS: [effect: string, late: boolean, point: string, charges: string[]][] = [
  ["read", false, "P2", [KEY, KEY]],
  ["read", false, "P3", [KEY, KEY]],
  ["idempotent", false, "P2", [KEY, KEY]],
  ["idempotent", false, "P3", [KEY, KEY]],
  ["reconcile", false, "P2", [KEY]],
  ["reconcile", true, "P2", [KEY]], // it had begun and done nothing
  ["reconcile", false, "P3", [KEY]],
]

describe.concurrent("a tool call in which the node dies", () => {
  test.each(CALLS)(
    "with effect %s (late: %s) at %s is made as often as the effect allows",
    {
      timeout: 60_000,
    },
    async (effect, late, point, charges) => {
      const env = { TOOL_EFFECT: effect, ...(late && { TOOL_LATE: "late" }) }
      const scene = await Scene.afterCrash(point, env)
      expect(await scene.receipt()).toMatch(effect === "reconcile" && !late ? /^found$/ : /^receipt of \d+$/)
      expect(scene.charges()).toEqual(charges)
      expect(await scene.questions()).toEqual([])
      await scene.close()
    },
  )

  test.each(["P2", "P3"])(
    "with effect irreversible at %s is asked about; yes lets it run once more",
    {
      timeout: 60_000,
    },
    async (point) => {
      const scene = await Scene.afterCrash(point, { TOOL_EFFECT: "irreversible" })
      const question = await scene.question()
      expect(question).toMatchObject({
        agent: "till",
        key: "ada",
        step: "bill-1",
        choices: ["no", "yes"],
        default: "no",
      })
      expect(question.question).toContain('"till" called pay({"sum":7}) at 20')
      expect(scene.charges()).toEqual([KEY])
      await scene.answer(question, "yes")
      expect(await scene.receipt()).toMatch(/^receipt of \d+$/)
      expect(scene.charges()).toEqual([KEY, KEY])
      await scene.untilAnswered(question)
      await scene.close()
    },
  )

  test("with effect irreversible has failed for good when nobody answers in time", { timeout: 60_000 }, async () => {
    const scene = await Scene.afterCrash("P3", { TOOL_EFFECT: "irreversible", TOOL_ASK_MS: "1500" })
    const question = await scene.question()
    const letters = async (): Promise<StoredLetter[]> => {
      const found: StoredLetter[] = []
      for await (const letter of new DeadLetters(scene.bus).list()) found.push(letter)
      return found
    }
    await until("it is in the dead letters", async () => (await letters()).length > 0)
    expect((await letters())[0]?.letter).toMatchObject({
      reason: "terminal",
      error: { code: "TOOL_OUTCOME_UNKNOWN" },
      event: { id: "bill-1" },
    })
    expect(scene.charges()).toEqual([KEY])
    await scene.untilAnswered(question)
    await scene.close()
  })

  test("in a worker that dies of it is not known either: a person is asked", { timeout: 60_000 }, async () => {
    const env = { TOOL_EFFECT: "irreversible", TOOL_ISOLATION: "worker", TOOL_SUICIDE: "yes" }
    const scene = await Scene.open("suicide", env)
    const question = await scene.question()
    expect(scene.charges()).toEqual([KEY])
    await scene.answer(question, "yes")
    expect(await scene.receipt()).toMatch(/^receipt of \d+$/)
    expect(scene.charges()).toEqual([KEY, KEY])
    await scene.close()
  })

  test("in a worker is known as well as one in the node", { timeout: 60_000 }, async () => {
    const scene = await Scene.afterCrash("P3", { TOOL_EFFECT: "reconcile", TOOL_ISOLATION: "worker" })
    expect(await scene.receipt()).toBe("found")
    expect(scene.charges()).toEqual([KEY])
    await scene.close()
  })
})
