import { expect, test } from "vitest"
import { user } from "../../../gateways/messages/constructors.js"
import { evolve } from "../../sessions/session.js"
import { composeState, conversationOf, ownState, SAID } from "./compose.js"

const own = {
  initial: { n: 0 },
  evolve: { Add: (state: { n: number }, n: number) => ({ n: state.n + n }) },
  version: 3,
  migrate: (state: unknown) => ({ n: (state as { old: number }).old }),
}
const said = { id: "e1", type: "t", at: "2026-01-01T00:00:00Z", trust: "internal", messages: [user("hello")] }
const definition = (options: ReturnType<typeof composeState>) => ({ ...options, version: options.version ?? 1 })

test("the agent's own entries change its own state, what is said the conversation beside it", () => {
  const composed = definition(composeState("a", own) as ReturnType<typeof composeState>)
  let state: unknown = composed.initial
  state = evolve(composed, state, { name: "Add", data: 2 }, "a")
  state = evolve(composed, state, { name: SAID, data: said }, "a")
  expect(ownState(state)).toEqual({ n: 2 })
  expect(conversationOf(state).turns).toMatchObject([{ id: "e1", messages: [user("hello")] }])
})

test("an agent may have a conversation and no state of its own", () => {
  const composed = definition(composeState("a", undefined))
  const state = evolve(composed, composed.initial, { name: SAID, data: said }, "a")
  expect(ownState(state)).toBeUndefined()
  expect(conversationOf(state).turns).toHaveLength(1)
})

test("a session from before its agent had a history keeps its state", () => {
  const { migrate, version } = composeState("a", own)
  expect(version).toBe(1_000_003)
  expect(migrate?.({ n: 7 }, 3)).toMatchObject({ own: { n: 7 }, history: { turns: [] } })
  expect(migrate?.({ old: 8 }, 2)).toMatchObject({ own: { n: 8 }, history: { turns: [] } })
  const history = { turns: [], forgotten: 4, edition: 2 }
  expect(migrate?.({ own: { old: 9 }, history }, 1_000_002)).toEqual({ own: { n: 9 }, history })
})

test("without a migrate of its own an old state is an error, as ever", () => {
  const { migrate } = composeState("a", { initial: own.initial, evolve: own.evolve, version: 3 })
  expect(() => migrate?.({ old: 1 }, 2)).toThrow(expect.objectContaining({ code: "STATE_MIGRATE" }))
})

test("names of ours are refused", () => {
  expect(() => composeState("a", { initial: 0, evolve: { "murmur.said": (n: number) => n } })).toThrow(
    expect.objectContaining({ code: "AGENT_OPTION", message: expect.stringContaining("murmur.said") }),
  )
})
