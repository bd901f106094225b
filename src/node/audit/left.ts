import type { BusCore } from "../../bus/bus-core.js"
import { type ConsumerView, readConsumers } from "../mesh-view.js"

/**
 * The consumers of an agent, its inbox included, that hold something which is not finished. `undefined` when it has no
 * consumer at all: then nothing can be said. Needs no node that runs.
 */
export async function unfinished(bus: BusCore, agent: string): Promise<ConsumerView[] | undefined> {
  const own = [...(await readConsumers(bus)).values()].filter(
    ({ name }) => name === agent || name.startsWith(`${agent}=`),
  )
  return own.length === 0 ? undefined : own.filter(({ pending, unacked }) => pending > 0 || unacked > 0)
}
