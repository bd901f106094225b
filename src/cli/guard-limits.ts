import { readLimits, setLimits } from "../node/guards.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { usageError } from "./usage.js"

/** Options of `murmur guard limits`. */
export interface GuardLimitsOptions {
  events?: number
  steps?: number
  default?: boolean
}

/** `murmur guard limits`: what the tree of one root event may use; with options, changes it for the whole mesh. */
export async function guardLimits(cli: Cli, _args: [], options: GuardLimitsOptions): Promise<void> {
  const { events, steps } = options
  if (options.default && (events !== undefined || steps !== undefined)) {
    throw usageError("give numbers or --default, not both")
  }
  const limits = await withMesh(cli.options, async (bus) => {
    if (options.default) await setLimits(bus, { events: undefined, steps: undefined })
    else await setLimits(bus, { ...(events !== undefined && { events }), ...(steps !== undefined && { steps }) })
    return readLimits(bus)
  })
  if (cli.options.json) return cli.out.json(limits)
  await cli.out.table(
    ["budget of one root event", "limit"],
    Object.entries(limits).map(([kind, limit]) => [kind, limit]),
  )
}
