import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import type { AskOptions } from "../src/agents/ask.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { durableInfo } from "../src/bus/consumers.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { answerQuestion, openQuestions, type QuestionRecord } from "../src/node/questions.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Merge = defineEvent("gate.merge", z.object({ n: z.number(), repo: z.string(), asks: z.array(z.string()) }), {
  key: (d) => d.repo,
})
const Decided = defineEvent("gate.decided", z.object({ n: z.number(), answers: z.array(z.string()) }))

let mesh: TestMesh
afterEach(() => mesh?.stop())

const runs: number[] = []
const gate = (options: Partial<AskOptions> = {}): AgentDefinition =>
  defineAgent("gate", {
    on: [Merge],
    emits: [Decided],
    state: { initial: 0, evolve: { Decided: (count: number, _: number) => count + 1 } },
    async handle(event, ctx) {
      const { n, asks, repo } = event.data
      runs.push(n)
      const ask = (text: string) => ctx.ask(text, { choices: ["yes", "no"], default: "no", ...options })
      const answers = await Promise.all(asks.map(ask))
      ctx.record("Decided", n)
      ctx.emit(Decided({ n, answers }, { key: repo }))
    },
  })

const start = async (options?: Partial<AskOptions>): Promise<void> => {
  runs.length = 0
  mesh = await startMesh({ agents: [gate(options)] })
}
const merge = (n: number, ...asks: string[]) =>
  mesh.bus.publish(Merge({ n, repo: "web", asks }, { id: `merge-${n}` }), { producer: "cli" })

/** Waits until so many questions are open. */
async function questions(count: number): Promise<QuestionRecord[]> {
  let open: QuestionRecord[] = []
  await until(`${count} questions are open`, async () => {
    open = await openQuestions(mesh.bus)
    return open.length === count
  })
  return open
}

const idOf = (open: readonly QuestionRecord[], text: string): string =>
  open.find(({ question }) => question === text)?.id ?? "none"
const answer = (id: string, text: string, by = "ada") => answerQuestion(mesh.bus, id, text, { by })
const sent = (data: unknown, producer = "cli") =>
  mesh.bus.publish({ type: "murmur.inbox.gate", key: "web", data }, { producer })
const decided = async (count: number): Promise<unknown[]> =>
  (await take(mesh.bus, "gate.decided", count)).map(({ data }: MurmurEvent) => data)

async function inboxIsEmpty(handled: number): Promise<void> {
  await until(`${handled} inbox events are handled`, async () => {
    const inbox = await durableInfo(mesh.bus.link, mesh.bus.names.events, "gate=inbox")
    const state = inbox && inbox.num_pending + inbox.num_ack_pending === 0
    return state === true && inbox?.ack_floor.consumer_seq === handled
  })
}

test("A question is an event and stands in the list until somebody answers it; its key is free meanwhile", async () => {
  await start()
  await merge(1, "Merge?")
  const [open] = await questions(1)
  expect(open).toMatchObject({
    ...{ agent: "gate", key: "web", step: "merge-1", position: 0, question: "Merge?" },
    ...{ choices: ["yes", "no"], default: "no", correlationid: "merge-1" },
  })
  const waitMs = Date.parse(open?.until ?? "") - Date.parse(open?.askedAt ?? "")
  expect(waitMs).toBeGreaterThan(86_300_000)
  const [asked] = await take(mesh.bus, "murmur.question.asked", 1)
  expect(asked).toMatchObject({ producer: "murmur", key: "web", causationid: "merge-1", data: { id: open?.id } })
  await merge(2)
  expect(await decided(1)).toEqual([{ n: 2, answers: [] }])
  const { taken, question } = await answer(open?.id.slice(0, 6) ?? "", "yes")
  expect(taken).toMatchObject({ id: open?.id, answer: "yes", by: "ada", byDefault: false, at: expect.any(String) })
  expect(question).toEqual(open)
  expect(await decided(2)).toEqual([
    { n: 2, answers: [] },
    { n: 1, answers: ["yes"] },
  ])
  expect([runs, await openQuestions(mesh.bus)]).toEqual([[1, 2, 1], []])
})

test("Nobody answers: its default is taken, and whoever comes later is told so", async () => {
  await start({ timeoutMs: 300 })
  await merge(1, "Merge?")
  const [open] = await questions(1)
  expect(await decided(1)).toEqual([{ n: 1, answers: ["no"] }])
  await questions(0)
  const [answered] = await take(mesh.bus, "murmur.question.answered", 1)
  expect(answered).toMatchObject({
    producer: "murmur",
    data: { id: open?.id, answer: "no", by: null, byDefault: true },
  })
  await expect(answer(open?.id ?? "", "yes")).rejects.toMatchObject({
    code: "QUESTION_ANSWERED",
    message: expect.stringMatching(/was answered with "no" before, by its default at 2/),
  })
  // one that was on its way
  await sent({ kind: "answer", step: "merge-1", position: 0, question: open?.id, answer: "yes", by: "eve" })
  await inboxIsEmpty(2)
  expect(runs).toEqual([1, 1])
})

test("The first answer wins; the same one again is stored once", async () => {
  await start()
  await merge(1, "Merge?", "Deploy?")
  const open = await questions(2)
  const id = idOf(open, "Merge?")
  const [first, second, third] = await Promise.all([answer(id, "yes"), answer(id, "yes"), answer(id, "no", "bob")])
  expect(first.taken).toMatchObject({ id })
  expect(second.taken).toEqual(first.taken)
  expect(third.taken).toEqual(first.taken)
  await inboxIsEmpty(2)
  await expect(answer(id, "no")).rejects.toMatchObject({ code: "QUESTION_ANSWERED" })
  expect(runs).toEqual([1, 1])
  await answer(idOf(open, "Deploy?"), "no")
  expect(await decided(1)).toEqual([{ n: 1, answers: [first.taken?.answer, "no"] }])
})

test("Questions side by side are answered in any order, also over a change of nodes", async () => {
  await start()
  await merge(1, "a", "b", "c")
  const open = await questions(3)
  await answer(idOf(open, "c"), "yes")
  await mesh.node.stop()
  const waiting = answer(idOf(open, "a"), "no")
  await mesh.addNode({ agents: [gate()] })
  expect((await waiting).taken).toMatchObject({ answer: "no" })
  await answer(idOf(open, "b"), "yes")
  expect(await decided(1)).toEqual([{ n: 1, answers: ["no", "yes", "yes"] }])
})

test("What is no choice, or no open question, is refused and stored nowhere", async () => {
  await start()
  await merge(1, "Merge?")
  const [open] = await questions(1)
  const id = open?.id ?? ""
  await expect(answer(id, "perhaps")).rejects.toMatchObject({
    code: "QUESTION_CHOICE",
    message: expect.stringContaining('(Merge?) with "perhaps": it must be one of yes, no'),
  })
  await expect(answer(id.slice(0, 5), "yes")).rejects.toMatchObject({ code: "QUESTION_UNKNOWN" })
  await expect(answer("nothing-like-it", "yes")).rejects.toMatchObject({ code: "QUESTION_UNKNOWN" })
  // past the check of the command line
  await sent({ kind: "answer", step: "merge-1", position: 0, question: id, answer: "perhaps", by: "eve" })
  await sent({ kind: "answer", step: "merge-1", position: 0, question: "another", answer: "yes", by: "eve" })
  await inboxIsEmpty(2)
  expect([runs, (await openQuestions(mesh.bus)).length]).toEqual([[1], 1])
})

test("An answer that no person gave is refused, and to be seen in the dead letters", async () => {
  await start()
  await merge(1, "Merge?")
  const [open] = await questions(1)
  const data = { kind: "answer", step: "merge-1", position: 0, question: open?.id, answer: "yes", by: "ada" }
  for (const producer of ["gate", "murmur"]) await sent(data, producer)
  await inboxIsEmpty(2)
  const letters: unknown[] = []
  for await (const { letter } of new DeadLetters(mesh.bus).list()) letters.push(letter)
  expect(letters).toMatchObject([
    { reason: "malformed", event: { producer: "gate", data } },
    { reason: "malformed", event: { producer: "murmur" } },
  ])
  expect([runs, (await openQuestions(mesh.bus)).length]).toEqual([[1], 1])
})

test("An answer that nobody takes is stored and said not to be taken yet; it counts when a node comes", async () => {
  await start()
  await merge(1, "Merge?")
  const [open] = await questions(1)
  await mesh.node.stop()
  const { taken } = await answerQuestion(mesh.bus, open?.id ?? "", "yes", { by: "ada", takenMs: 100 })
  expect(taken).toBeUndefined()
  await mesh.addNode({ agents: [gate()] })
  expect(await decided(1)).toEqual([{ n: 1, answers: ["yes"] }])
})

test("A question without choices takes any text, also none", async () => {
  mesh = await startMesh({
    agents: [
      defineAgent("gate", {
        on: [Merge],
        emits: [Decided],
        async handle(event, ctx) {
          const first = await ctx.ask("Which one?", { default: "none" })
          const second = await ctx.ask(`Why ${first}?`, { default: "because" })
          ctx.emit(Decided({ n: event.data.n, answers: [first, second] }, { key: "web" }))
        },
      }),
    ],
  })
  await merge(1)
  await answer((await questions(1))[0]?.id ?? "", "the ü one — “2”")
  const [second] = await questions(1)
  expect(second?.question).toBe("Why the ü one — “2”?")
  await answer(second?.id ?? "", "")
  expect(await decided(1)).toEqual([{ n: 1, answers: ["the ü one — “2”", ""] }])
})
