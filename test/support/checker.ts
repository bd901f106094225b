import { expect } from "vitest"
import type { Bus } from "../../src/bus/bus.js"
import { unfinished } from "../../src/node/audit/left.js"
import { type AgentHistory, readAgentHistory, readAllMessages } from "../../src/node/audit/read.js"
import { checkHistory } from "../../src/node/audit/rules.js"
import { until } from "./mesh.js"

/** What is to hold of one agent with state when its work is done. */
export interface CheckOptions {
  readonly agent: string
  /** Patterns of the events that it reacts to. */
  readonly on: readonly string[]
  /** Whether each output must be stored once, not only once by id: inside the dedup window. Default true. */
  readonly storedOnce?: boolean
  /** Strings that must not be in any stream. */
  readonly secrets?: readonly string[]
}

/**
 * The end of every chaos test: waits until the agent's consumers are drained, then reads the streams and holds them to
 * what murmur promises, whatever happened in between. Each event is committed or a dead letter, and only one of the
 * two; one commit per cause; the outputs on the bus are those in the commits, by id; order per key; nothing unacked.
 *
 * @returns what it found, for more that a test wants to know
 */
export async function checkMesh(bus: Bus, options: CheckOptions): Promise<AgentHistory> {
  await untilDrained(bus, options.agent)
  const found = await readAgentHistory(bus, options.agent, options.on)
  expect(checkHistory(found, { storedOnce: options.storedOnce ?? true }), "promises that do not hold").toEqual([])
  for (const secret of options.secrets ?? []) await checkAbsent(bus, secret)
  return found
}

/** Waits until nothing of an agent is waiting or unacked. Works also when no node runs. */
export async function untilDrained(bus: Bus, agent: string, timeoutMs = 20_000): Promise<void> {
  let left: unknown
  const drained = async (): Promise<boolean> => {
    left = await unfinished(bus, agent)
    return Array.isArray(left) && left.length === 0
  }
  await until(`the consumers of "${agent}" are drained`, drained, timeoutMs).catch((cause) => {
    throw new Error(`Not drained: ${JSON.stringify(left ?? "it has no consumer")}`, { cause })
  })
}

async function checkAbsent(bus: Bus, secret: string): Promise<void> {
  const { events, sessions, steps, dead } = bus.names
  for (const stream of [events, sessions, steps, dead]) {
    const holders = (await readAllMessages(bus, stream, ">")).filter(({ data }) => Buffer.from(data).includes(secret))
    expect(
      holders.map(({ subject }) => subject),
      `messages of ${stream} with a secret`,
    ).toEqual([])
  }
}
