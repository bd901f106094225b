import type { Bus } from "../../bus/bus.js"
import { type AgentHistory, readAgentHistory } from "../audit/read.js"
import { checkHistory } from "../audit/rules.js"
import { type BillLine, readBill } from "./bill.js"
import { type CallCount, countCalls, readAnswers, type Standstill } from "./calls.js"
import { type Answer, DEMO } from "./demo.js"
import type { Strike } from "./plan.js"
import type { Published } from "./publish.js"

/** A promise that did not hold. */
export interface BrokenPromise {
  /** `lost`, `doubled`, `order`, `outputs`: as in the audit. The others are about calls, states and processes. */
  readonly promise: string
  readonly detail: string
  /** What it is about: ids of events, calls. */
  readonly ids: readonly string[]
}

/** What a run of chaos did, and what became of it. */
export interface ChaosReport {
  readonly seed: number
  readonly durationMs: number
  readonly kills: number
  readonly pauses: number
  readonly serverKills: number
  readonly events: { readonly accepted: number; readonly keys: number }
  /** Repeats: dropped by the server, or stored again and left to the agent to know. */
  readonly duplicates: { readonly dropped: number; readonly stored: number }
  readonly steps: {
    /** How often a handler began. */
    readonly began: number
    /** How often it began again: redelivered since its node died, stood still or lost the server in the middle. */
    readonly again: number
  }
  readonly calls: { readonly wanted: number; readonly made: number; readonly inFlight: number; readonly again: number }
  /** Outputs, by id. */
  readonly effects: { readonly wanted: number; readonly stored: number }
  readonly lost: number
  readonly doubled: number
  readonly outOfOrder: number
  readonly deadLetters: number
  readonly broken: readonly BrokenPromise[]
  /** What was planned: the same for the same seed. Which node it struck followed from who worked then. */
  readonly strikes: readonly Strike[]
}

/** What was done to the mesh, for the report. */
export interface Disturbance
  extends Pick<ChaosReport, "seed" | "kills" | "pauses" | "serverKills" | "strikes" | "durationMs"> {
  readonly published: Published
  readonly standstills: readonly Standstill[]
  /** What did not go as it should, besides the events. */
  readonly faults: readonly string[]
  readonly billFile: string
}

/** Reads what the streams and the bill hold, and holds it to what murmur promises. */
export async function makeReport(bus: Bus, done: Disturbance): Promise<ChaosReport> {
  const [history, answers] = await Promise.all([
    readAgentHistory(bus, DEMO.agent, [DEMO.asked]),
    readAnswers(bus, DEMO.agent),
  ])
  const { accepted, dropped, storedAgain } = done.published
  const lines = readBill(done.billFile)
  const wanted = accepted.flatMap((id) => DEMO.calls.map((call) => `${id} ${call}`))
  const calls = countCalls(lines, wanted, answers, done.standstills)
  const broken = [
    ...gone(accepted, history),
    ...checkHistory(history),
    ...checkStates(history),
    ...checkCalls(calls),
    ...done.faults.map((detail) => ({ promise: "processes", detail, ids: [] })),
  ]
  const count = (promise: string): number =>
    broken.filter((found) => found.promise === promise).reduce((sum, { ids }) => sum + ids.length, 0)
  const { seed, durationMs, kills, pauses, serverKills, strikes } = done
  return {
    ...{ seed, durationMs, kills, pauses, serverKills },
    events: { accepted: accepted.length, keys: history.sessions.size },
    duplicates: { dropped, stored: storedAgain },
    steps: countSteps(lines),
    calls: { wanted: calls.wanted, made: calls.made, inFlight: calls.inFlight, again: calls.again.length },
    effects: { wanted: accepted.length, stored: new Set(history.outputs.map(({ id }) => id)).size },
    lost: count("lost"),
    doubled: count("doubled"),
    outOfOrder: count("order"),
    deadLetters: history.dead.size,
    broken,
    strikes,
  }
}

/** An acknowledged event is in the stream. */
function gone(accepted: readonly string[], { events }: AgentHistory): BrokenPromise[] {
  const ids = accepted.filter((id) => !events.has(id))
  return ids.length === 0 ? [] : [{ promise: "lost", detail: "events that were acknowledged and are not stored", ids }]
}

/** Each customer's answers count up by one: the state holds every question once, whoever worked. */
function checkStates({ sessions, dead }: AgentHistory): BrokenPromise[] {
  const wrong: string[] = [...dead]
  for (const commits of sessions.values()) {
    for (const [at, { cause, outputs }] of commits.entries()) {
      if (outputs.some(({ data }) => (data as Answer).count !== at + 1)) wrong.push(cause.id)
    }
  }
  if (wrong.length === 0) return []
  return [{ promise: "state", detail: "events that were given up, or that the state counts wrongly", ids: wrong }]
}

function checkCalls({ again, never }: CallCount): BrokenPromise[] {
  const found: BrokenPromise[] = []
  if (again.length > 0) {
    found.push({ promise: "calls", detail: "calls that were paid again though their answer was stored", ids: again })
  }
  if (never.length > 0) found.push({ promise: "calls", detail: "calls that were never made", ids: never })
  return found
}

function countSteps(lines: readonly BillLine[]): ChaosReport["steps"] {
  const began = lines.filter((line) => line.what === "began")
  return { began: began.length, again: began.length - new Set(began.map(({ event }) => event)).size }
}
