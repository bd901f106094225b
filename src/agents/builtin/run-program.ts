import { type ChildProcess, spawn } from "node:child_process"
import type { Readable } from "node:stream"
import { ensureError, errorCode, TerminalError } from "../../errors.js"

/** One run of a program. */
export interface ProgramOrder {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** More of each output is read, and forgotten. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** How a program ended; also when it says that it failed. */
export interface Ended {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  /** Whether there was more output than was kept. */
  readonly truncated: boolean
}

const KILL_MS = 1_000

/**
 * Runs a program, without a shell, as the leader of a process group of its own: what is left of the group when the program
 * has ended, or when nobody waits any more, is killed.
 *
 * @throws TerminalError `TOOL_SHELL` when it cannot be started; the reason of the signal
 */
export function runProgram({ file, args, cwd, env, maxBytes, signal }: ProgramOrder): Promise<Ended> {
  signal.throwIfAborted()
  const windows = process.platform === "win32"
  const stdio = ["ignore", "pipe", "pipe"] as const
  const child = spawn(file, args, {
    cwd,
    env: { ...env },
    stdio: [...stdio],
    shell: false,
    detached: !windows,
    windowsHide: true,
  })
  const kept = { stdout: new Kept(child.stdout, maxBytes), stderr: new Kept(child.stderr, maxBytes) }
  return new Promise((resolve, reject) => {
    let killing: NodeJS.Timeout | undefined
    const onAbort = (): void => {
      killGroup(child, "SIGTERM")
      killing = setTimeout(() => killGroup(child, "SIGKILL"), KILL_MS)
      reject(ensureError(signal.reason))
    }
    signal.addEventListener("abort", onAbort, { once: true })
    child.once("error", (cause) => {
      signal.removeEventListener("abort", onAbort)
      reject(cannotStart(file, cause))
    })
    child.once("exit", () => {
      clearTimeout(killing)
      killGroup(child, "SIGKILL") // what it has left behind would hold its outputs open
    })
    child.once("close", (exitCode, by) => {
      signal.removeEventListener("abort", onAbort)
      const { stdout, stderr } = kept
      const truncated = stdout.truncated || stderr.truncated
      resolve({ exitCode, signal: by, stdout: stdout.text, stderr: stderr.text, truncated })
    })
  })
}

/** The beginning of an output. The rest is read as well: a program whose output nobody reads stands still. */
class Kept {
  readonly #chunks: Buffer[] = []
  #room: number
  truncated = false

  constructor(output: Readable, maxBytes: number) {
    this.#room = maxBytes
    output.on("data", (chunk: Buffer) => {
      if (chunk.length > this.#room) this.truncated = true
      if (this.#room > 0) this.#chunks.push(chunk.subarray(0, this.#room))
      this.#room -= Math.min(this.#room, chunk.length)
    })
    output.on("error", () => {})
  }

  get text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#chunks), { stream: this.truncated })
  }
}

function killGroup({ pid }: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (pid === undefined) return
  try {
    if (process.platform === "win32") spawn("taskkill", ["/pid", String(pid), "/T", "/F"], { stdio: "ignore" })
    else process.kill(-pid, signal)
  } catch {} // nobody is left
}

function cannotStart(file: string, cause: unknown): TerminalError {
  return new TerminalError(`Cannot run ${file}: ${errorCode(cause)}`, { code: "TOOL_SHELL", cause })
}
