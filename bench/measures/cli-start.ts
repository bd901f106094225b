import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { createMesh } from "../support/mesh.js"
import { ratio, type Spread, spread } from "../support/stats.js"

/** Milliseconds from the start of a process to its end. */
export interface CliStart {
  readonly runs: number
  readonly node: Spread
  readonly commands: Readonly<Record<string, { readonly ms: Spread; readonly timesNode: Spread }>>
}

export interface CliStartOptions {
  readonly url: string
  readonly runs: number
  readonly say: (line: string) => void
}

/** From bench/dist/bench/measures to the command as it is shipped. */
const CLI = fileURLToPath(new URL("../../../../dist/cli/main.js", import.meta.url))

/** @returns `undefined` when there is no build of the command line */
export async function measureCliStart({ url, runs, say }: CliStartOptions): Promise<CliStart | undefined> {
  if (!existsSync(CLI)) return undefined
  const mesh = await createMesh(url)
  const publish = ["publish", "bench.started", "--key", "k", "--data", "{}", "--nats", url, "--mesh", mesh.name]
  const programs: Readonly<Record<string, readonly string[]>> = {
    "murmur --help": [CLI, "--help"],
    "murmur publish": [CLI, ...publish],
  }
  try {
    const bare: number[] = []
    const times = new Map<string, number[]>(Object.keys(programs).map((name) => [name, []]))
    for (let run = -1; run < runs; run++) {
      const node = timeOf(["-e", ""])
      if (run >= 0) bare.push(node) // the first of each fills the caches of the file system
      for (const [name, args] of Object.entries(programs)) {
        const ms = timeOf(args)
        if (run >= 0) times.get(name)?.push(ms)
      }
    }
    const commands = Object.fromEntries(
      [...times].map(([name, ms]) => [name, { ms: spread(ms), timesNode: ratio(ms, bare) }]),
    )
    for (const [name, { ms, timesNode }] of Object.entries(commands)) {
      say(`  ${name} ${ms.median.toFixed(0)} ms, ${timesNode.median.toFixed(2)} times bare Node`)
    }
    return { runs, node: spread(bare), commands }
  } finally {
    await mesh.remove()
  }
}

function timeOf(args: readonly string[]): number {
  const began = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] })
  const ms = performance.now() - began
  if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr.toString()}`)
  return ms
}
