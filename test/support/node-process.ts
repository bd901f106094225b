import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

/** `murmur up` as a process of its own. */
export interface NodeProcess {
  readonly child: ChildProcess
  /** What it said when it was ready. */
  readonly ready: {
    readonly nats: string
    readonly http: string | null
    readonly mesh: string
    readonly agents: string[]
  }
  /** What it wrote to standard error so far. */
  stderr(): string
  /** SIGKILL; resolves when it is gone. */
  kill9(): Promise<void>
  /** SIGTERM; resolves with its exit code. */
  terminate(): Promise<number | null>
}

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url))

/** Starts `murmur up --json` and waits until it is ready. */
export async function startNodeProcess(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; timeoutMs?: number } = {},
): Promise<NodeProcess> {
  const child = spawn(process.execPath, [MAIN, "up", ...args, "--json"], {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let stderr = ""
  child.stderr?.on("data", (chunk) => {
    stderr += String(chunk)
  })
  const gone = once(child, "exit")
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 30_000)
  const first = await Promise.race([once(lines, "line").then(([line]) => String(line)), gone.then(() => undefined)])
  clearTimeout(timer)
  if (first === undefined) throw new Error(`murmur up did not become ready:\n${stderr}`)
  return {
    child,
    ready: JSON.parse(first),
    stderr: () => stderr,
    async kill9() {
      child.kill("SIGKILL")
      await gone
    },
    async terminate() {
      child.kill("SIGTERM")
      await gone
      return child.exitCode
    },
  }
}
