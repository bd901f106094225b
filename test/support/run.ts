import { type ChildProcess, spawn } from "node:child_process"

/** How a program ended. */
export interface RunResult {
  /** `null` when it was killed by a signal. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** It ran longer than it was allowed to and was killed. */
  readonly timedOut: boolean
}

export interface RunOptions {
  readonly cwd?: string
  /** Replaces the environment. Default: our own. */
  readonly env?: NodeJS.ProcessEnv
  /** Given to the program's standard input; without it that is empty. */
  readonly input?: string
  /** After this many milliseconds the program is killed. Default 30,000. */
  readonly timeoutMs?: number
}

/** With a process group of its own, a program that must be killed takes along what it started. */
const OWN_GROUP = process.platform !== "win32"

function kill(child: ChildProcess): void {
  if (!OWN_GROUP || child.pid === undefined) {
    child.kill("SIGKILL")
    return
  }
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch {
    // It has ended by itself just now.
  }
}

/** Runs a program to its end and never throws for how it ended. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, env = process.env, input = "", timeoutMs = 30_000 } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: "pipe", detached: OWN_GROUP })
    const out: Buffer[] = []
    const err: Buffer[] = []
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      kill(child)
    }, timeoutMs)
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    // A program may end without reading what it is given.
    child.stdin.on("error", () => {})
    child.stdin.end(input)
    child.on("error", (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on("close", (code) => {
      clearTimeout(timer)
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString(), timedOut })
    })
  })
}
