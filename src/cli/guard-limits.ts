import { BUDGET_DEFAULTS, isMoney, kindOf, ofAgent, usdText } from "../agents/guards/limits.js"
import type { BusCore } from "../bus/bus-core.js"
import { checkName } from "../bus/subjects.js"
import { readLimits, setLimits } from "../node/guards.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { checkedArgument, usageError } from "./usage.js"

/** Options of `murmur guard limits`: amounts by budget (`tokens`, `agentDayUsd`, ...), `Infinity` for none. */
export interface GuardLimitsOptions extends Readonly<Record<string, number | string | boolean | undefined>> {
  agent?: string
  default?: boolean
}

/** The option of each kind of budget: money is given in dollars, and counted in millionths. */
const OPTIONS = new Map(Object.keys(BUDGET_DEFAULTS).map((kind) => [kind, camel(kind.replace("microusd", "usd"))]))

/** `murmur guard limits`: what may be used; with options, changes it for the whole mesh. */
export async function guardLimits(cli: Cli, _args: [], options: GuardLimitsOptions): Promise<void> {
  const wanted = wantedOf(options)
  if (options.default && Object.keys(wanted).length > 0) throw usageError("give numbers or --default, not both")
  const limits = await withMesh(cli.options, async (bus) => {
    if (options.default) await restore(bus, options.agent)
    else await setLimits(bus, wanted)
    return readLimits(bus)
  })
  if (cli.options.json) return cli.out.json(jsonOf(limits))
  await cli.out.table(
    ["budget", "limit"],
    Object.entries(limits).map(([name, limit]) => [labelOf(name), textOf(name, limit)]),
  )
}

/** The limits that are to be set, by their names. */
function wantedOf(options: GuardLimitsOptions): Record<string, number> {
  const { agent } = options
  if (agent !== undefined) checkedArgument(() => checkName(agent, "agent"))
  const wanted: Record<string, number> = {}
  for (const [kind, option] of OPTIONS) {
    const amount = options[option]
    if (typeof amount !== "number") continue
    if (agent === undefined) wanted[kind] = amount
    else if (kind.startsWith("agent-")) wanted[ofAgent(kind, agent)] = amount
    else throw usageError(`--agent is for --agent-day-tokens and --agent-day-usd alone, not for --${labelOf(kind)}`)
  }
  return wanted
}

/** Back to the defaults: all limits, or those of one agent. */
async function restore(bus: BusCore, agent: string | undefined): Promise<void> {
  const names = Object.keys(await readLimits(bus)).filter(
    (name) => agent === undefined || name === ofAgent(kindOf(name), agent),
  )
  await setLimits(bus, Object.fromEntries(names.map((name) => [name, undefined])))
}

function jsonOf(limits: Readonly<Record<string, number>>) {
  const agents: Record<string, Record<string, number | null>> = {}
  const json: Record<string, unknown> = {}
  for (const [name, limit] of Object.entries(limits)) {
    const kind = kindOf(name)
    const amount = Number.isFinite(limit) ? limit / (isMoney(kind) ? 1_000_000 : 1) : null
    const option = OPTIONS.get(kind) ?? kind
    const agent = name.slice(kind.length + 1)
    if (agent === "") json[option] = amount
    else agents[agent] = { ...agents[agent], [option]: amount }
  }
  return { ...json, agents }
}

function labelOf(name: string): string {
  const [kind = name, agent] = name.replace("microusd", "usd").split("=")
  return agent === undefined ? kind : `${kind} of ${agent}`
}

function textOf(name: string, limit: number): string | number {
  if (!Number.isFinite(limit)) return "none"
  return isMoney(kindOf(name)) ? usdText(limit) : limit
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}
