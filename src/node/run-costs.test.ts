import { expect, test } from "vitest"
import { isRunEvent, type Reaction, reactionOf, sumOf, withReaction } from "./run-costs.js"

const reaction = (agent: string, inputTokens: number, costUsd: number | null): Reaction => ({
  ...{ agent, costUsd },
  usage: { inputTokens, outputTokens: 1 },
})

test("an event of a run tells what it has used, if it does", () => {
  const data = { agent: "a", run: "e", usage: { inputTokens: 5, outputTokens: 2, cachedTokens: 1 }, costMicroUsd: 450 }
  const usage = { inputTokens: 5, outputTokens: 2 }
  expect(reactionOf({ data })).toEqual({ agent: "a", usage, costUsd: 0.00045 })
  expect(reactionOf({ data: { agent: "a", usage } })).toEqual({ agent: "a", usage, costUsd: null })
  for (const data of [undefined, null, { agent: "a" }, { usage }, "usage"]) expect(reactionOf({ data })).toBeUndefined()
  expect([isRunEvent({ type: "murmur.run.completed" }), isRunEvent({ type: "murmur.running" })]).toEqual([true, false])
})

test("what an agent has used in several attempts is one reaction, agents stay apart", () => {
  const reactions = [reaction("a", 10, 0.1), reaction("b", 20, null), reaction("a", 5, 0.2)].reduce<Reaction[]>(
    withReaction,
    [],
  )
  expect(reactions).toEqual([
    { agent: "b", usage: { inputTokens: 20, outputTokens: 1 }, costUsd: null },
    { agent: "a", usage: { inputTokens: 15, outputTokens: 2 }, costUsd: 0.3 },
  ])
  expect(sumOf(reactions)).toMatchObject({ usage: { inputTokens: 35, outputTokens: 3 }, costUsd: 0.3 })
  expect(sumOf([])).toMatchObject({ usage: { inputTokens: 0, outputTokens: 0 }, costUsd: null })
})
