import type { BusCore } from "../bus/bus-core.js"
import { requireAgent } from "../node/agent-control.js"
import { readUsage } from "../node/agent-usage.js"
import {
  type AgentView,
  agentRecords,
  agentView,
  agentViews,
  type ConsumerView,
  consumersOf,
  readConsumers,
  readMesh,
} from "../node/mesh-view.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import type { Output, Style } from "./output.js"
import { routeJson } from "./routes.js"
import { dollars, printable } from "./text.js"

/** `murmur agents [name]`: what runs, where, its lag and failures; or one agent in detail. */
export async function agents(cli: Cli, [name]: [string?]): Promise<void> {
  if (name !== undefined) return oneAgent(cli, name)
  const views = await withMesh(cli.options, async (bus) => {
    const [state, consumers] = await Promise.all([readMesh(bus), readConsumers(bus)])
    const names = agentRecords(state).map(({ name }) => name)
    return agentViews(state, consumers, await readUsage(bus, names))
  })
  if (cli.options.json) return cli.out.json(views)
  await cli.out.table(
    ["name", "state", "nodes", "lag", "steps", "failures", "sessions", "tokens", "cost", "today", "blocked"],
    views.map(({ name, state, why, nodes, lag, steps, failures, sessions, blocked, ...used }) => [
      name,
      state,
      nodes.join(",") || "-",
      lag,
      steps,
      failures,
      sessions,
      used.tokens,
      dollars(used.costUsd),
      dollars(used.costUsdToday),
      blocked ?? why ?? "-",
    ]),
  )
}

async function oneAgent(cli: Cli, name: string): Promise<void> {
  const detail = await withMesh(cli.options, (bus) => readDetail(bus, name))
  if (cli.options.json) return cli.out.json(detail)
  await show(cli.out, detail)
}

type Detail = Awaited<ReturnType<typeof readDetail>>

async function readDetail(bus: BusCore, name: string) {
  const [state, consumers, usage] = await Promise.all([readMesh(bus), readConsumers(bus), readUsage(bus, [name])])
  const record = requireAgent(name, state.catalogue)
  const { on, emits, partitions, ordering, inflightMax, from, behaviour } = record
  const own: readonly ConsumerView[] = consumersOf(record, consumers)
  const presence = state.nodes.flatMap(({ id, agents }) =>
    agents.filter((agent) => agent.name === name).map((agent) => ({ node: id, ...agent })),
  )
  return {
    ...agentView(state, record, consumers, usage.get(name)),
    behaviour,
    on,
    emits,
    partitions,
    ordering,
    inflightMax,
    from,
    routes: state.table.routes.filter(({ agent }) => agent === name).map(routeJson),
    consumers: own,
    /** In the order in which they are tried; nodes of different versions may differ. */
    models: [...new Set(presence.flatMap(({ models }) => models))],
    presence,
  }
}

const COLOURS: Readonly<Record<AgentView["state"], Style>> = {
  running: "green",
  paused: "yellow",
  quarantined: "red",
  stopped: "red",
}

async function show(out: Output, agent: Detail): Promise<void> {
  const { state, description } = agent
  await out.line(`${out.paint("bold", agent.name)}  ${out.paint(COLOURS[state], state)}`)
  if (description !== null) await out.line(printable(description))
  const facts: [string, string | number][] = [
    ["reacts to", agent.on.join(", ") || "-"],
    ["emits", agent.emits.join(", ") || "-"],
    ["behaviour", agent.behaviour],
    ["partitions", agent.partitions],
    ["ordering", agent.ordering],
    ["begins at", agent.from],
    ["nodes", agent.nodes.join(", ") || agent.why || "-"],
    ["lag", agent.lag],
    ["in flight", agent.inflight],
    ["steps", agent.steps],
    ["failures", `${agent.failures} (retried ${agent.retries}, given up ${agent.deadLetters})`],
    ["sessions", agent.sessions],
    ...(agent.models.length > 0 ? [["asks", agent.models.join(", ")] as [string, string]] : []),
    ["models", `${agent.tokens} tokens, ${dollars(agent.costUsd)}`],
    ["today", `${agent.tokensToday} tokens, ${dollars(agent.costUsdToday)} (UTC)`],
    ["blocked", agent.blocked ?? "-"],
  ]
  for (const [name, value] of facts) await out.line(`  ${name.padEnd(11)} ${printable(String(value))}`)
  await out.line("\nroutes")
  await out.table(
    ["id", "pattern", "filter", "origin"],
    agent.routes.map(({ id, pattern, filter, origin }) => [id, pattern, filter ? JSON.stringify(filter) : "-", origin]),
  )
  await out.line("\nconsumers")
  await out.table(
    ["name", "pending", "unacked", "redelivered"],
    agent.consumers.map(({ name, pending, unacked, redelivered }) => [name, pending, unacked, redelivered]),
  )
}
