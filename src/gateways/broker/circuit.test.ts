import { beforeEach, expect, test } from "vitest"
import { ManualClock } from "../../../test/support/llm/manual-clock.js"
import { Circuit } from "./circuit.js"

let clock: ManualClock
let circuit: Circuit
let states: string[]

beforeEach(() => {
  clock = new ManualClock()
  states = []
  circuit = new Circuit({ failures: 3, openMs: 1_000 }, clock, (state) => states.push(state.circuit))
})

function fail(times: number): void {
  for (let time = 0; time < times; time++) circuit.end(circuit.begin(), "failing")
}

test("it opens after so many failures in a row, and not before", () => {
  fail(2)
  circuit.end(circuit.begin(), "alive")
  fail(2)
  circuit.end(circuit.begin(), "unknown")
  expect(circuit.closedForMs).toBe(0)
  fail(1)
  expect(circuit.closedForMs).toBe(1_000)
  expect(states).toEqual(["open"])
})

test("when its time is over it lets one through, and the others when that one was answered", async () => {
  fail(3)
  await clock.pass(1_000)
  expect(circuit.closedForMs).toBe(0)
  const probe = circuit.begin()
  expect(probe).toBe(true)
  expect(circuit.closedForMs).toBe(Number.POSITIVE_INFINITY)
  circuit.end(probe, "alive")
  expect(circuit.closedForMs).toBe(0)
  expect(states).toEqual(["open", "half-open", "closed"])
})

test("a probe that fails opens it again", async () => {
  fail(3)
  await clock.pass(1_000)
  circuit.end(circuit.begin(), "failing")
  expect(circuit.closedForMs).toBe(1_000)
})

test("a probe whose caller has gone leaves its place to the next", async () => {
  fail(3)
  await clock.pass(1_000)
  circuit.end(circuit.begin(), "unknown")
  expect(circuit.state.circuit).toBe("open")
  expect(circuit.closedForMs).toBe(0)
})

test("it stays open as long as the provider asks for", () => {
  fail(2)
  circuit.end(circuit.begin(), "failing", 5_000)
  expect(circuit.closedForMs).toBe(5_000)
})

test("what was sent before it opened says nothing about the probe", async () => {
  const late = circuit.begin()
  fail(3)
  await clock.pass(1_000)
  const probe = circuit.begin()
  circuit.end(late, "failing")
  expect(circuit.state.circuit).toBe("half-open")
  circuit.end(late, "alive")
  expect(circuit.state.circuit).toBe("half-open")
  circuit.end(probe, "alive")
  expect(circuit.state.circuit).toBe("closed")
})
