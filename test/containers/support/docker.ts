import { type RunOptions, type RunResult, run } from "../../support/run.js"

/** Runs Docker's client and never throws for how it ended. */
export function docker(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run("docker", args, { timeoutMs: 60_000, ...options })
}

/** Runs Docker's client. @returns what it printed @throws Error with what it said, when it did not succeed */
export async function mustDocker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr, timedOut } = await docker(args, options)
  if (code === 0) return stdout.trim()
  const how = timedOut ? "did not end in time" : `failed (${code ?? "a signal"})`
  throw new Error(`docker ${args.join(" ")} ${how}:\n${stdout}${stderr}`)
}
