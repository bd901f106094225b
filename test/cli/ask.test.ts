import { userInfo } from "node:os"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { buildCli, errorOf, jsonOf } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

interface Question {
  id: string
  agent: string
  key: string | null
  question: string
  choices: string[] | null
  default: string
  until: string
  askedAt: string
  step: string
}

const Failed = defineEvent("ask.failed", z.object({ job: z.string(), free: z.boolean().default(false) }), {
  key: (d) => d.job,
})
/** What was answered, by job. */
const answers = new Map<string, string>()

const roller = defineAgent("roller", {
  on: [Failed],
  async handle(event, ctx) {
    const { job, free } = event.data
    const options = { default: "no", timeoutMs: 3_600_000, ...(!free && { choices: ["yes", "no"] }) }
    answers.set(job, await ctx.ask(`Roll ${job} back?`, options))
  },
})

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh([roller])
}, 120_000)
afterAll(() => mesh?.stop())

const list = async (...args: string[]): Promise<Question[]> =>
  jsonOf<Question[]>(await mesh.murmur("ask", ...args, "--json"))

/** Has a question asked, and waits until it is open. */
async function asked(job: string, free = false): Promise<Question> {
  const { id: step } = await mesh.bus.publish(Failed({ job, free }), { producer: "feed" })
  const open = async (): Promise<Question | undefined> => (await list("ls")).find((question) => question.step === step)
  return vi.waitUntil(open, { timeout: 10_000, interval: 50 })
}

test("An open question is listed with all that is needed to decide; ask alone lists", async () => {
  const question = await asked("web")
  expect(question).toEqual({
    ...{ id: expect.stringMatching(/^[\w-]{22}$/), agent: "roller", key: "web", question: "Roll web back?" },
    ...{ choices: ["yes", "no"], default: "no", step: expect.any(String) },
    ...{ until: expect.stringMatching(/^2/), askedAt: expect.stringMatching(/^2/) },
  })
  expect(Date.parse(question.until) - Date.parse(question.askedAt)).toBeGreaterThan(3_500_000)
  expect(await list()).toEqual(await list("ls"))
  const { stdout } = await mesh.murmur("ask")
  expect(stdout.split("\n")[0]?.split("\t")).toEqual([
    ...[question.id, "roller", "web", "Roll web back?", "yes, no", "no", question.until],
  ])
})

test("An answer is taken by the step before the command ends; the question is gone, and answered for good", async () => {
  const { id } = await asked("api")
  const result = await mesh.murmur("ask", "answer", id.slice(0, 8), "yes", "--json")
  expect(jsonOf(result)).toEqual({
    ...{ id, agent: "roller", key: "api", question: "Roll api back?", answer: "yes", taken: true },
    by: userInfo().username,
  })
  await vi.waitFor(() => expect(answers.get("api")).toBe("yes"), { timeout: 10_000 })
  expect((await list()).map((question) => question.id)).not.toContain(id)
  const again = await mesh.murmur("ask", "answer", id, "no", "--json")
  expect(again.code).toBe(1)
  expect(errorOf(again)).toMatchObject({
    code: "QUESTION_ANSWERED",
    message: expect.stringMatching(/Roll api back\?.* answered with "yes" before, by /),
  })
  expect(answers.get("api")).toBe("yes")
})

test("Any text answers a question without choices, and people are told what was answered", async () => {
  const { id, choices } = await asked("db", true)
  expect(choices).toBeNull()
  const { code, stdout } = await mesh.murmur("ask", "answer", id, "later, at night")
  expect([code, stdout]).toEqual([0, `${id}  roller db  Roll db back?  later, at night\n`])
  await vi.waitFor(() => expect(answers.get("db")).toBe("later, at night"), { timeout: 10_000 })
})

test("What is no choice is refused, and the question stays", async () => {
  const { id } = await asked("mail")
  const result = await mesh.murmur("ask", "answer", id, "maybe", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "QUESTION_CHOICE", message: expect.stringContaining("yes, no") })
  expect((await list()).map((question) => question.id)).toContain(id)
})

test.each([
  [["answer", "unknown-id", "yes"], 1, "QUESTION_UNKNOWN"],
  [["answer", "unknown-id"], 2, "USAGE"],
  [["answers"], 2, "USAGE"],
])("ask %j ends with %i", async (args, code, error) => {
  const result = await mesh.murmur("ask", ...args, "--json")
  expect([result.code, errorOf(result).code]).toEqual([code, error])
})
