import type { Bucket } from "../bus/bucket.js"
import type { Bus } from "../bus/bus.js"
import { deployInbox } from "./deployment/consumers.js"
import type { Deployable } from "./deployment/durables.js"
import { inboxKey } from "./deployment/inboxes.js"

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
