import { isMoney, usdText } from "../agents/guards/limits.js"
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
  tokens?: number
  /** In millionths of a dollar. */
  usd?: number
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
    const more = Object.entries(granted).map(([guard, amount]) => amountOf(guard, amount))
    const said = more.length === 0 ? "" : `granted ${more.join(", ")} more; `
    await cli.out.line(`${said}${counted(retried.length, "event")} sent back`)
  }
  for (const { guard, letters, used, limit } of waiting) {
    const stopped = `${counted(letters, "event")} of this tree (${trippedText({ guard, used, limit })})`
    warn(`warning: still in the dead letters: ${stopped}; grant --${guard.replace("microusd", "usd")} as well`)
  }
  if (failed.length === 0) return
  for (const { error } of failed) warn(error.message)
  throw new MurmurError(`${counted(failed.length, "event")} could not be sent back; ${retried.length} were`, {
    code: "DEAD_RETRY",
  })
}

function grantsOf({ events, steps, tokens, usd, hops, cycles }: GuardResumeOptions): Grants {
  const given = { events, steps, tokens, microusd: usd, hops, cycles }
  return Object.fromEntries(Object.entries(given).flatMap(([guard, n]) => (n === undefined ? [] : [[guard, n]])))
}

function amountOf(guard: string, amount: number): string {
  return isMoney(guard) ? usdText(amount) : counted(amount, guard.replace(/s$/, ""))
}
