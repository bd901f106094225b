import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { assistant, toolResult, user } from "../../../gateways/messages/constructors.js"
import type { Message } from "../../../gateways/messages/message.js"
import { chooseHistory, type HistoryBudget } from "./choose.js"
import { BYTES_MAX, type Conversation, foldSaid, foldSummarised, NO_CONVERSATION, TURNS_MAX } from "./conversation.js"
import { sizeDown, sizeOf } from "./fit.js"

const words = fc.lorem({ maxCount: 60 })
const exchange = fc
  .tuple(fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{4}$/), { minLength: 1, maxLength: 3 }), words, words)
  .map(([ids, given, result]): Message[] => [
    assistant("", { toolCalls: ids.map((id) => ({ id, name: "look", arguments: { given } })) }),
    ...ids.map((id) => toolResult({ id, name: "look" }, result.repeat(3))),
  ])
const step = fc
  .tuple(words, fc.array(exchange, { maxLength: 3 }), words)
  .map(([event, exchanges, answer]): Message[] => [user(event), ...exchanges.flat(), assistant(answer)])

const conversation = fc
  .tuple(fc.array(step, { maxLength: 30 }), fc.option(words, { nil: undefined }))
  .map(([steps, summary]): Conversation => {
    const said = steps.reduce<Conversation>(
      (before, messages, n) =>
        foldSaid(before, { id: `e${n}`, type: "t", at: "2026-01-01T00:00:00Z", trust: "internal", messages }),
      NO_CONVERSATION,
    )
    return { ...said, ...(summary !== undefined && { summary }) }
  })
const budget = fc.record<HistoryBudget>({
  turns: fc.integer({ min: 0, max: 4_000 }),
  summary: fc.integer({ min: 0, max: 300 }),
  keepTurns: fc.integer({ min: 1, max: 30 }),
})

const isSubsequence = (part: readonly unknown[], all: readonly unknown[]): boolean => {
  let at = 0
  for (const item of all) if (at < part.length && JSON.stringify(part[at]) === JSON.stringify(item)) at += 1
  return at === part.length
}

/** What providers refuse: results without their call right before them, calls without their results. */
function unpaired(messages: readonly Message[]): boolean {
  let open = new Set<string>()
  for (const message of messages) {
    if (message.role === "tool") {
      if (!open.delete(message.toolCallId)) return true
    } else {
      if (open.size > 0) return true
      if (message.role === "assistant") open = new Set(message.toolCalls?.map(({ id }) => id))
    }
  }
  return open.size > 0
}

describe("what is chosen of a conversation", () => {
  const event = user("the event")

  test("never takes more than its budget, and keeps the event whole at the end", () => {
    fc.assert(
      fc.property(conversation, budget, (before, room) => {
        const { messages, recent } = chooseHistory(before, event, room)
        expect(sizeOf(recent)).toBeLessThanOrEqual(room.turns)
        expect(sizeOf(messages)).toBeLessThanOrEqual(room.turns + room.summary + sizeOf([event]))
        expect(messages.at(-1)).toBe(event)
      }),
    )
  })

  test("is in order, newest turns first to stay, and either there or taken out", () => {
    fc.assert(
      fc.property(conversation, budget, (before, room) => {
        const { recent, evict } = chooseHistory(before, event, room)
        const kept = before.turns.slice(evict.length)
        expect(evict).toEqual(before.turns.slice(0, evict.length))
        expect(recent).toHaveLength(kept.flatMap(({ messages }) => messages).length)
        expect(
          isSubsequence(
            recent.filter(({ role }) => role !== "tool"),
            kept.flatMap(({ messages }) => messages),
          ),
        ).toBe(true)
        expect(kept.length).toBeLessThanOrEqual(room.keepTurns)
      }),
    )
  })

  test("has no tool result without its call, and no call without its result", () => {
    fc.assert(
      fc.property(conversation, budget, (before, room) => {
        expect(unpaired(chooseHistory(before, event, room).messages)).toBe(false)
      }),
    )
  })

  test("cuts the oldest tool results before it takes a turn out", () => {
    const long = "a result of many words ".repeat(40)
    const turn = (n: number): Message[] => [
      user(`event ${n}`),
      assistant("", { toolCalls: [{ id: `c${n}`, name: "look", arguments: {} }] }),
      toolResult({ id: `c${n}`, name: "look" }, long),
      assistant(`answer ${n}`),
    ]
    const before = [1, 2, 3].reduce<Conversation>(
      (all, n) => foldSaid(all, { id: `e${n}`, type: "t", at: "", trust: "internal", messages: turn(n) }),
      NO_CONVERSATION,
    )
    const whole = sizeOf(turn(1))
    const { recent, evict } = chooseHistory(before, event, { turns: whole * 3 - 10, summary: 0, keepTurns: 10 })
    expect(evict).toEqual([])
    const results = recent.flatMap((message) => (message.role === "tool" ? [message.content] : []))
    expect(results).toEqual([`[${long.length} characters cut]`, long, long])
  })

  test("leaves room for turns to come when it takes some out, so that not every step does", () => {
    let talk = NO_CONVERSATION
    let evictions = 0
    for (let n = 0; n < 200; n++) {
      const { evict } = chooseHistory(talk, event, { turns: 2_000, summary: 100, keepTurns: 50 })
      if (evict.length > 0) evictions += 1
      talk = foldSummarised(talk, { edition: talk.edition, turns: evict.map(({ id }) => id), summary: "notes" })
      talk = foldSaid(talk, {
        id: `e${n}`,
        type: "t",
        at: "",
        trust: "internal",
        messages: [user(`event number ${n} ${"so it is ".repeat(8)}`), assistant("done")],
      })
    }
    expect(evictions).toBeGreaterThan(2)
    expect(evictions).toBeLessThan(30)
  })
})

describe("what is remembered of a step", () => {
  test("is as small as it has to be, and well formed", () => {
    fc.assert(
      fc.property(step, fc.integer({ min: 0, max: 1_500 }), (messages, tokens) => {
        const said = sizeDown(messages, tokens)
        expect(sizeOf(said)).toBeLessThanOrEqual(tokens)
        expect(unpaired(said)).toBe(false)
        if (sizeOf(messages) <= tokens) expect(said).toEqual(messages)
      }),
    )
  })

  test("holds no instructions, no thoughts, no images and nothing that only a provider reads", () => {
    const said = sizeDown(
      [
        { role: "system", content: "secret instructions" },
        {
          role: "user",
          content: [
            { type: "text", text: "look" },
            { type: "image", image: { path: "a.png" } },
          ],
        },
        { role: "assistant", content: "ok", reasoning: "hm", provider: { name: "p", data: "signature" } },
      ],
      1_000,
    )
    expect(said).toEqual([user("look\n[image]"), assistant("ok")])
  })

  test("is bounded whatever an agent says", () => {
    let talk = NO_CONVERSATION
    for (let n = 0; n < 1_000; n++) {
      talk = foldSaid(talk, {
        id: `e${n}`,
        type: "t",
        at: "",
        trust: "internal",
        messages: [user("x".repeat(n % 10 === 0 ? 20_000 : 10))],
      })
      expect(talk.turns.length).toBeLessThanOrEqual(TURNS_MAX)
      expect(Buffer.byteLength(JSON.stringify(talk))).toBeLessThan(BYTES_MAX * 1.2)
    }
    expect(talk.forgotten + talk.turns.length).toBe(1_000)
  })

  test("stays known to be of outsiders, also when what they said is noted and gone", () => {
    const said = (id: string, trust: "internal" | "external") => ({
      id,
      type: "t",
      at: "",
      trust,
      messages: [user(id)],
    })
    let talk = foldSaid(NO_CONVERSATION, said("a", "internal"))
    expect(talk.outside).toBeUndefined()
    talk = foldSaid(foldSaid(talk, said("b", "external")), said("c", "internal"))
    talk = foldSummarised(talk, { edition: 0, turns: ["a", "b"], summary: "notes" })
    expect(talk).toMatchObject({ outside: true, turns: [{ id: "c" }] })
  })

  test("is not taken out by notes on an older edition: nothing is lost when two steps note at a time", () => {
    let talk = ["a", "b", "c"].reduce<Conversation>(
      (all, id) => foldSaid(all, { id, type: "t", at: "", trust: "internal", messages: [user(id)] }),
      NO_CONVERSATION,
    )
    talk = foldSummarised(talk, { edition: 0, turns: ["a"], summary: "a was said" })
    talk = foldSummarised(talk, { edition: 0, turns: ["a", "b"], summary: "late notes" })
    expect(talk).toMatchObject({ summary: "a was said", forgotten: 1, edition: 1 })
    expect(talk.turns.map(({ id }) => id)).toEqual(["b", "c"])
  })
})
