import { openBus } from "../bus/bus.js"
import { MurmurError } from "../errors.js"
import { type Grants, resumeTree, trippedText } from "../node/guard-trees.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"
import { counted } from "./text.js"

/** Options of `murmur guard resume`. */
export interface GuardResumeOptions {
  events?: number
  steps?: number
  hops?: number
  cycles?: number
}

/** `murmur guard resume <root>`: grants a tree more and sends its events back. Fails when one of them could not be. */
export async function guardResume(cli: Cli, [root]: [string], options: GuardResumeOptions): Promise<void> {
  const use = { open: openBus, deadlineMs: Number.POSITIVE_INFINITY }
  const resume = (bus: Awaited<ReturnType<typeof openBus>>, signal: AbortSignal) =>
    resumeTree(bus, root, grantsOf(options), signal)
  const resumed = await withMesh(cli.options, resume, use)
  const { granted, retried, failed, waiting } = resumed
  if (cli.options.json) await cli.out.json(resumed)
  else {
    const more = Object.entries(granted).map(([guard, amount]) => counted(amount, guard.replace(/s$/, "")))
    await cli.out.line(`granted ${more.join(", ")} more; ${counted(retried.length, "event")} sent back`)
  }
  for (const { guard, letters, used, limit } of waiting) {
    const stopped = `${counted(letters, "event")} of this tree (${trippedText({ guard, used, limit })})`
    warn(`warning: still in the dead letters: ${stopped}; grant --${guard} as well`)
  }
  if (failed.length === 0) return
  for (const { error } of failed) warn(error.message)
  throw new MurmurError(`${counted(failed.length, "event")} could not be sent back; ${retried.length} were`, {
    code: "DEAD_RETRY",
  })
}

function grantsOf({ events, steps, hops, cycles }: GuardResumeOptions): Grants {
  return {
    ...(events !== undefined && { events }),
    ...(steps !== undefined && { steps }),
    ...(hops !== undefined && { hops }),
    ...(cycles !== undefined && { cycles }),
  }
}
