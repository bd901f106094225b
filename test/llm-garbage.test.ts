import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { z } from "zod"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { readAll } from "./support/checker.js"
import { Answered, Asked, type Asks, asker } from "./support/llm/asker.js"
import type { FakeReply } from "./support/llm/fake-protocol.js"
import { type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"

let lab: Lab
const executed: unknown[] = []
beforeEach(() => {
  executed.length = 0
})
afterEach(() => lab?.stop())

const publish = (n: number) => lab.bus.publish(Asked({ n }, { id: `asked-${n}` }), { producer: "cli" })
const givenUp = () => until("it is given up", async () => (await lab.letters()).length === 1)

const erase = defineTool({
  name: "erase",
  description: "Erases a file",
  input: z.strictObject({ path: z.string() }),
  effect: "idempotent",
  run: (input) => {
    executed.push(input)
    return "erased"
  },
})
const Verdict = z.object({ verdict: z.enum(["good", "bad"]) })
const judges: Asks = async (n, ctx) =>
  (await ctx.llm.object(Verdict, `question ${n}`, { tools: [erase] })).object.verdict
const judge = asker(judges, { tools: [erase], retry: { attempts: 2, backoffMs: 5 } })

const calls = (name: string, given: Readonly<Record<string, unknown>> | string): FakeReply => ({
  toolCalls: [{ name, arguments: given }],
})
const LARGE = "x".repeat(2 * 2 ** 20)

/** How a step ends, and how often the model was asked: once and two repairs, or two tries in each of two attempts. */
const UNFIT = { code: "LLM_OBJECT", reason: "terminal", requests: 3 }
const LOOP = { code: "LLM_LOOP", reason: "terminal", requests: 3 }
const TOO_LARGE = { code: "LLM_REPLY_TOO_LARGE", reason: "terminal", requests: 1 }
const UNREADABLE = { code: "LLM_REPLY", reason: "failed", requests: 4 }

test.each<[string, FakeReply, typeof UNFIT]>([
  ["JSON that is cut", { text: '{"verdict": "go' }, UNFIT],
  ["nothing at all", { text: "" }, UNFIT],
  ["another object", { text: '{"verdict":"ugly"}' }, UNFIT],
  ["an object that is cut off for want of tokens", { text: '{"verdict":', finish: "length" }, UNFIT],
  ["a tool that is not there", calls("format_disk", {}), LOOP],
  ["arguments that are not in the schema", calls("erase", { path: "/tmp/x", force: true }), LOOP],
  ["arguments of another type", calls("erase", { path: 7 }), LOOP],
  ["arguments that are no JSON", calls("erase", '{"path": "/tm'), LOOP],
  ["two megabytes", { text: `{"verdict":"${LARGE}"}` }, TOO_LARGE],
  ["a tool call of two megabytes", calls("erase", { path: LARGE }), TOO_LARGE],
  ["a body that is cut", { text: '{"verdict":"good"}', fault: "cut" }, UNREADABLE],
  ["an empty body", { fault: "empty" }, UNREADABLE],
  ["a page for people", { fault: "html" }, UNREADABLE],
])("%s: nothing is done, and a typed failure is in the dead letters", async (_, reply, { code, reason, requests }) => {
  lab = await startLab([judge], { retry: { tries: 2, backoffMs: 5 } })
  lab.server.reply(reply)
  await publish(1)
  await givenUp()
  const [letter] = await lab.letters()
  expect(letter).toMatchObject({ reason, error: { code } })
  expect(letter?.error.message.length).toBeLessThan(2_000)
  expect(lab.server.calls).toHaveLength(requests)
  expect(executed).toEqual([])
  expect(await readAll(lab.bus, lab.bus.names.events, lab.bus.names.storedFilter(Answered.type))).toEqual([])
})

test("what is mended when the model is told goes on: two repairs are enough, and the tool runs with what fits", async () => {
  lab = await startLab([judge])
  lab.server.reply(
    calls("erase", { path: "/tmp/x", force: true }),
    calls("erase", { path: "/tmp/x" }),
    { text: "certainly!" },
    { text: '{"verdict":' },
    { text: '```json\n{"verdict":"good"}\n```' },
  )
  await publish(1)
  const [answered] = await take(lab.bus, Answered.type, 1)
  expect(answered?.data).toEqual({ n: 1, text: "good" })
  expect(executed).toEqual([{ path: "/tmp/x" }])
  expect(lab.server.calls).toHaveLength(5)
})

describe("a model that never stops calling tools", () => {
  const look = defineTool({
    name: "look",
    description: "Looks",
    input: z.object({ at: z.number() }),
    effect: "read",
    run: (input) => {
      executed.push(input)
      return `nothing at ${input.at}`
    },
  })
  const looks: Asks = async (n, ctx) => (await ctx.llm.text(`question ${n}`, { tools: [look] })).text
  const looker = asker(looks, { tools: [look] })

  test("is stopped after 25 turns when each call is another one", async () => {
    lab = await startLab([looker])
    lab.server.reply((_, { index }) => calls("look", { at: index }))
    await publish(1)
    await givenUp()
    expect(await lab.letters()).toMatchObject([{ reason: "terminal", error: { code: "LLM_TURNS" } }])
    expect([lab.server.calls.length, executed.length]).toEqual([25, 24])
  })

  test("is stopped the third time that it makes the same call", async () => {
    lab = await startLab([looker])
    lab.server.reply(calls("look", { at: 1 }))
    await publish(1)
    await givenUp()
    expect(await lab.letters()).toMatchObject([{ reason: "terminal", error: { code: "LLM_LOOP" } }])
    expect([lab.server.calls.length, executed.length]).toEqual([3, 2])
  })
})
