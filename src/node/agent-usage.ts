import { agentDay, agentTotal, periodsAt, UNITS } from "../agents/guards/accounts.js"
import type { BusCore } from "../bus/bus-core.js"
import { streamInfo } from "../bus/streams.js"
import { countersOf } from "./guards.js"

/** What models have cost an agent. Of a model without a price, the tokens alone are counted. */
export interface AgentUsage {
  /** Since it is counted. */
  readonly tokens: number
  /** In millionths of a US dollar. */
  readonly costMicroUsd: number
  /** This UTC day. */
  readonly tokensToday: number
  readonly costMicroUsdToday: number
}

/** Of an agent that has asked no model. */
export const NO_USAGE: AgentUsage = { tokens: 0, costMicroUsd: 0, tokensToday: 0, costMicroUsdToday: 0 }

/**
 * Reads what agents have used, by name. What nodes count at the moment may be a second late.
 *
 * @param at milliseconds since 1970; default: now
 */
export async function readUsage(
  bus: BusCore,
  agents: readonly string[],
  at: number = Date.now(),
): Promise<Map<string, AgentUsage>> {
  if ((await streamInfo(bus.link.manager, bus.names.usage)) === undefined) return new Map() // older than the command
  const { day } = periodsAt(at)
  const counters = agents.flatMap((agent) => [
    ...UNITS.map((unit) => agentTotal(agent, unit)),
    ...UNITS.map((unit) => agentDay(agent, day, unit)),
  ])
  const totals = await countersOf(bus).totals(counters)
  return new Map(
    agents.map((agent, n) => {
      const [tokens = 0, costMicroUsd = 0, tokensToday = 0, costMicroUsdToday = 0] = totals.slice(4 * n, 4 * n + 4)
      return [agent, { tokens, costMicroUsd, tokensToday, costMicroUsdToday }]
    }),
  )
}
