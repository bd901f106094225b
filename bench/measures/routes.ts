import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

interface Call {
  readonly matchTenEvents: number
  readonly concerns: number
}

/** Nanoseconds for a call, over the same ten events again and again, by kind of route and number of routes. */
export type Routes = Readonly<Record<string, Readonly<Record<number, Call>>>>

const PROGRAM = fileURLToPath(new URL("../router.js", import.meta.url))

/**
 * Runs `bench/router.ts` in processes of its own and takes the smallest number of each: whatever disturbs a call that
 * takes 100 ns makes it longer.
 */
export async function measureRoutes(counts: readonly number[], runs: number, measureMs: number): Promise<Routes> {
  const found: Routes[] = []
  for (let run = 0; run < runs; run++) {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, counts.join(","), String(measureMs)])
    found.push((JSON.parse(stdout) as { result: Routes }).result)
  }
  const least = (kind: string, count: number, call: keyof Call): number =>
    Math.min(...found.map((result) => result[kind]?.[count]?.[call] ?? Number.NaN))
  return Object.fromEntries(
    Object.keys(found[0] ?? {}).map((kind) => [
      kind,
      Object.fromEntries(
        counts.map((count) => [
          count,
          { matchTenEvents: least(kind, count, "matchTenEvents"), concerns: least(kind, count, "concerns") },
        ]),
      ),
    ]),
  )
}
