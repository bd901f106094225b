import type { Bus } from "../../bus/bus.js"
import { openBucket } from "../buckets.js"
import type { Found } from "./found.js"
import { isChange, type Stage, toCreate, unchanged } from "./plan.js"
import type { Wanted, WantedAgent } from "./wanted.js"

/** The settings' key under which it stands that an agent has an inbox. */
export function inboxKey(agent: string): string {
  return `inbox.${agent}`
}

/** Whether an agent is to have an inbox: it may come to need one, or has one already. */
export function hasInbox({ agent }: WantedAgent, { options }: Wanted, { settings }: Found): boolean {
  return settings.has(inboxKey(agent.name)) || (options.ahead && agent.behaviour.kind === "handle")
}

/** Tells the nodes which agents have inboxes; when these are there, since a node that hears of one begins to pull. */
export function planInboxes(bus: Bus, wanted: Wanted, found: Found): Stage {
  const changes = wanted.agents
    .filter((agent) => hasInbox(agent, wanted, found))
    .map(({ agent }) => inboxKey(agent.name))
    .map((key) => (found.settings.has(key) ? unchanged("setting", key) : toCreate("setting", key)))
  const apply = async (): Promise<string[]> => {
    const settings = await openBucket(bus, "settings")
    for (const { name } of changes.filter(isChange)) await settings.put(name, { at: new Date().toISOString() })
    return []
  }
  return { changes, apply }
}
