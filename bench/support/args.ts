import { parseArgs } from "node:util"

/** The parts of the benchmark, in the order in which they run. */
export const PARTS = [
  "throughput",
  "latency",
  "state",
  "calls",
  "fan-out",
  "fold",
  "recovery",
  "nodes",
  "duplicates",
  "minds",
  "cli",
  "memory",
  "routes",
  "profile",
] as const
export type Part = (typeof PARTS)[number]

export interface BenchOptions {
  /** More rounds, and the same job on BullMQ. */
  readonly long: boolean
  readonly only: ReadonlySet<Part>
  /** Whether bench/RESULTS.md and bench/results.json are written. Not for a part alone. */
  readonly write: boolean
  /** What the results say was run. */
  readonly command: string
  /** The day that the results bear, YYYY-MM-DD. */
  readonly date: string
}

const HELP = `npm run bench -- [options]
  --long          more rounds, and the same job on BullMQ (fetches it and Redis into a temporary folder)
  --only <parts>  comma-separated, of: ${PARTS.join(", ")}; writes no files
  --date <day>    the day that the results bear; default today`

/** Reads the command line. @returns `undefined` when only help was asked for, or the options are wrong */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        long: { type: "boolean", default: false },
        only: { type: "string" },
        date: { type: "string", default: new Date().toISOString().slice(0, 10) },
        help: { type: "boolean", default: false },
      },
    })
    if (values.help) {
      process.stdout.write(`${HELP}\n`)
      return undefined
    }
    const only = values.only?.split(",") ?? [...PARTS]
    const unknown = only.find((part) => !(PARTS as readonly string[]).includes(part))
    if (unknown !== undefined) throw new Error(`unknown part "${unknown}"`)
    return {
      long: values.long,
      only: new Set(only as Part[]),
      write: values.only === undefined,
      command: ["npm run bench", ...(values.long ? ["-- --long"] : [])].join(" "),
      date: values.date,
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${HELP}\n`)
    process.exitCode = 2
    return undefined
  }
}
