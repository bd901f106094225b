import { randomInt } from "node:crypto"
import { MurmurError } from "../errors.js"
import type { BrokenPromise, ChaosReport } from "../node/chaos/report.js"
import { runChaos } from "../node/chaos/run.js"
import { reportRows } from "./chaos-rows.js"
import type { Cli } from "./cli.js"
import { warn } from "./output.js"
import { counted, printable } from "./text.js"

/** Options of `murmur chaos`. */
export interface ChaosCommandOptions {
  readonly events?: number
  readonly kills?: number
  readonly seed?: number
  readonly seconds?: number
}

const EVENTS = 1_000
const KILLS = 4
const SECONDS = 15
const SEED_MAX = 2 ** 32 - 1
const SHOWN_MAX = 5

/**
 * `murmur chaos`: kills nodes and the server of a mesh of its own while it works, then counts what was promised. Fails
 * when a promise does not hold.
 */
export async function chaos(cli: Cli, _args: [], options: ChaosCommandOptions): Promise<void> {
  const { events = EVENTS, kills = KILLS, seed = randomInt(SEED_MAX), seconds = SECONDS } = options
  const interrupted = interruptSignal()
  const onProgress = (line: string, atMs: number): void => {
    process.stderr.write(`${(atMs / 1_000).toFixed(1).padStart(6)} s  ${printable(line)}\n`)
  }
  const say = cli.options.json ? {} : { onProgress }
  const run = runChaos({ seed, events, kills, forMs: seconds * 1_000, ...say, signal: interrupted })
  const report = await run.catch((error: unknown): never => {
    throw interrupted.aborted ? interrupted.reason : error
  })
  if (cli.options.json) await cli.out.json(report)
  else await show(cli, report)
  if (report.broken.length > 0) throw broken(report)
}

async function show({ out }: Cli, report: ChaosReport): Promise<void> {
  await out.table(["what", "count"], reportRows(report))
  for (const { promise, detail, ids } of report.broken) {
    const more = ids.length > SHOWN_MAX ? `, and ${ids.length - SHOWN_MAX} more` : ""
    const named = ids.length === 0 ? "" : `: ${ids.slice(0, SHOWN_MAX).join(", ")}${more}`
    await out.line(`${out.paint("red", "BROKEN")}  ${printable(`${promise}: ${detail}${named}`)}`)
  }
  if (report.broken.length === 0) await out.line(out.paint("green", "every promise holds"))
}

function broken({ seed, broken: found }: ChaosReport): MurmurError {
  const promises = [...new Set(found.map(({ promise }: BrokenPromise) => promise))]
  return new MurmurError(
    `${counted(promises.length, "promise")} did not hold: ${promises.join(", ")}. --seed ${seed} strikes the same way again`,
    { code: "CHAOS_BROKEN", details: { seed, promises } },
  )
}

/** Aborted at the first SIGINT or SIGTERM: the run is cleaned up. A second one ends the process at once. */
function interruptSignal(): AbortSignal {
  const interrupt = new AbortController()
  const onSignal = (): void => {
    if (interrupt.signal.aborted) process.exit(1)
    warn("interrupted; ending what was started")
    interrupt.abort(
      new MurmurError("The run was interrupted; what it had started is gone", { code: "CHAOS_INTERRUPTED" }),
    )
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
  return interrupt.signal
}
