import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Nanoseconds for a call, over the same ten events again and again, by kind of route and number of routes. */
export type Routes = Readonly<
  Record<string, Readonly<Record<number, { readonly matchTenEvents: number; readonly concerns: number }>>>
>

const PROGRAM = fileURLToPath(new URL("../router.js", import.meta.url))

/** Runs `bench/router.ts` in a process of its own. */
export async function measureRoutes(counts: readonly number[], measureMs: number): Promise<Routes> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, counts.join(","), String(measureMs)])
  return (JSON.parse(stdout) as { result: Routes }).result
}
