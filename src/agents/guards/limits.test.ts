import { expect, test } from "vitest"
import { amountText, BUDGET_DEFAULTS, BudgetLimits, kindOf, ofAgent, usdText } from "./limits.js"

test("a limit is what was set for the agent, else what was set for all, else the default", () => {
  const limits = new BudgetLimits()
  const triage = ofAgent("agent-day-tokens", "triage")
  expect(limits.of(triage)).toBe(Number.POSITIVE_INFINITY)
  limits.set("agent-day-tokens", 10)
  limits.set(triage, 20)
  expect([limits.of("agent-day-tokens"), limits.of(triage)]).toEqual([10, 20])
  limits.set(triage, undefined)
  expect(limits.of(triage)).toBe(10)
  expect(kindOf(triage)).toBe("agent-day-tokens")
})

test("no limit can be set as one; what is no amount restores the default", () => {
  const limits = new BudgetLimits()
  limits.set("microusd", Number.POSITIVE_INFINITY)
  expect(limits.of("microusd")).toBe(Number.POSITIVE_INFINITY)
  for (const wrong of [-1, 0.5, "10", null, Number.NaN]) {
    limits.set("microusd", 1)
    limits.set("microusd", wrong)
    expect(limits.of("microusd")).toBe(BUDGET_DEFAULTS.microusd)
  }
})

test("amounts are written for people", () => {
  expect([0, 100_000, 12_000_000, 450, 1_500_500, 5_010].map(usdText)).toEqual([
    ...["$0.00", "$0.10", "$12.00", "$0.000450", "$1.5005", "$0.005010"],
  ])
  expect(amountText("agent-day-tokens", 5)).toBe("5 tokens")
  expect(amountText("day-microusd", 2_500_000)).toBe("$2.50")
  expect(amountText("steps", Number.POSITIVE_INFINITY)).toBe("no limit")
})
