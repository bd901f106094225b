import type { Bucket } from "../bus/bucket.js"
import type { Bus } from "../bus/bus.js"
import { type Deployable, deployInbox } from "./deploy.js"

/** The settings' key under which it stands that an agent has an inbox. */
export function inboxKey(agent: string): string {
  return `inbox.${agent}`
}

/**
 * Sees to it that what is sent to an agent alone reaches it. The consumers first: a node that hears of the inbox begins
 * to pull at once.
 */
export async function openInbox(
  bus: Bus,
  settings: Bucket,
  agent: Pick<Deployable, "name" | "partitions">,
): Promise<void> {
  await deployInbox(bus, agent)
  const key = inboxKey(agent.name)
  if ((await settings.get(key)) === undefined) await settings.put(key, { at: new Date().toISOString() })
}
