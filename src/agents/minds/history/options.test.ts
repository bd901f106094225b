import { describe, expect, test } from "vitest"
import { checkHistory, DEFAULT_SHARES } from "./options.js"
import { planRoom } from "./room.js"

describe("history options", () => {
  test("have defaults", () => {
    expect(checkHistory("a", {})).toEqual({
      tokens: undefined,
      shares: DEFAULT_SHARES,
      keepTurns: 50,
      summarise: { model: undefined },
    })
  })

  test("shares that are not given share what is left", () => {
    const { shares } = checkHistory("a", { shares: { turns: 0.65 } })
    expect(shares.turns).toBe(0.65)
    expect(shares.instructions).toBeCloseTo(0.075)
    expect(Object.values(shares).reduce((a, b) => a + b)).toBeCloseTo(1)
  })

  test.each([
    [true, "history must be an object, is boolean"],
    [{ token: 1 }, 'unknown option "history.token" (known: tokens, shares, keepTurns, summarise)'],
    [{ tokens: 100 }, "history.tokens must be an integer >= 2048, is 100"],
    [{ keepTurns: 0 }, "history.keepTurns must be an integer from 1 to 400, is 0"],
    [{ keepTurns: "5" }, "history.keepTurns must be an integer from 1 to 400, is 5"],
    [{ shares: { turn: 0.5 } }, 'unknown option "history.shares.turn"'],
    [{ shares: { turns: 50 } }, "history.shares.turns must be a number from 0 to 1, is 50"],
    [{ shares: { turns: 0.7, event: 0.7 } }, "history.shares must be at most 1 together, are 1.4"],
    [{ summarise: "yes" }, "history.summarise must be true, false or an object"],
    [{ summarise: { modle: "x" } }, 'unknown option "history.summarise.modle"'],
    [{ summarise: { model: [] } }, "history.summarise.model must be the name of a model"],
  ])("%j is refused", (given, says) => {
    expect(() => checkHistory("a", given)).toThrow(
      expect.objectContaining({ code: "AGENT_OPTION", message: expect.stringContaining(says) }),
    )
  })
})

describe("the room of a call", () => {
  const history = checkHistory("a", {})
  const none = { instructions: 0, event: 0, tools: 0, answer: undefined }

  test("is shared out, and never larger than the model's window", () => {
    expect(planRoom("a", history, 8_000, none)).toMatchObject({ total: 8_000, turns: 2_400, summary: 400 })
    expect(planRoom("a", history, 400_000, none).total).toBe(32_768)
    expect(planRoom("a", checkHistory("a", { tokens: 100_000 }), 400_000, none).turns).toBe(30_000)
    expect(planRoom("a", checkHistory("a", { tokens: 100_000 }), 8_000, none).total).toBe(8_000)
  })

  test("an event larger than its share takes from the turns, then from the notes", () => {
    const shares = 0.35 * 8_000
    expect(planRoom("a", history, 8_000, { ...none, event: shares })).toMatchObject({ turns: 2_400, summary: 400 })
    expect(planRoom("a", history, 8_000, { ...none, event: shares + 1_000 })).toMatchObject({
      turns: 1_400,
      summary: 400,
    })
    expect(planRoom("a", history, 8_000, { ...none, event: shares + 2_600 })).toMatchObject({ turns: 0, summary: 200 })
  })

  test("what does not fit even without history is an error that names all sizes", () => {
    expect(() =>
      planRoom('agent "a"', history, 8_000, { instructions: 900, event: 6_000, tools: 100, answer: 1_200 }),
    ).toThrow(
      expect.objectContaining({
        name: "TerminalError",
        code: "LLM_CONTEXT",
        message: expect.stringContaining(
          "instructions (900 tokens), event (6000), tools (100) and room for the answer (1200) do not fit into its window of 8000 tokens",
        ),
      }),
    )
  })
})
