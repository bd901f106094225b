import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { createInterface } from "node:readline"
import { GUARD_SCRIPT } from "./guard-script.js"
import { STOP_MS } from "./leftovers.js"

/** How the guarded program ended. */
export interface GuardedEnd {
  /** In plain words: `exit code 1`, `signal SIGKILL`, `its guard was killed`. */
  readonly reason: string
}

/** A program that is stopped when this process ends, however it ends. */
export interface Guarded {
  readonly guardPid: number
  /**
   * Starts the program, once.
   *
   * @returns its process id
   * @throws Error when it cannot be started
   */
  start(): Promise<number>
  /** From now on the guard does not keep this process running; until then it does. */
  unref(): void
  /** Resolves when the program has ended, asked for or not. Never rejects. */
  readonly ended: Promise<GuardedEnd>
  /** Asks the program to end, kills it when it does not, and waits until it is gone. */
  stop(): Promise<void>
}

/** Longer than the guard needs to kill the program. */
const GUARD_STOP_MS = STOP_MS + 5_000

/**
 * Starts the guard of a program; the program itself is started by `start()`.
 *
 * @param errorLog file to which what the program prints to standard error is added
 * @returns the guard, which keeps this process running until `unref()`
 * @throws Error when no process can be started
 */
export async function guard(program: string, args: readonly string[], errorLog: string): Promise<Guarded> {
  const errors = openSync(errorLog, "a", 0o600)
  const script = ["--input-type=commonjs", "-e", GUARD_SCRIPT, "--", String(STOP_MS), program, ...args]
  let child: ChildProcess
  try {
    // Detached: Ctrl-C at a terminal is for us, and the server has to outlive what we do about it.
    const stdio: ["pipe", "pipe", number] = ["pipe", "pipe", errors]
    child = spawn(process.execPath, script, { stdio, detached: true, windowsHide: true, env: guardEnv() })
  } finally {
    closeSync(errors)
  }
  return watchGuard(child, await pidOf(child))
}

/** What is meant for our own Node (a debugger's port, loaders, coverage) is not for the guard's. */
function guardEnv(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env
  return env
}

function pidOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.once("spawn", () => resolve(child.pid ?? -1))
  })
}

interface Message {
  started?: number
  failed?: string
  exited?: { code: number | null; signal: string | null }
}

function watchGuard(child: ChildProcess, guardPid: number): Guarded {
  let started: (pid: number) => void = () => {}
  let failed: (error: Error) => void = () => {}
  let end: GuardedEnd = { reason: "its guard was killed" }
  const running = new Promise<number>((resolve, reject) => {
    started = resolve
    failed = reject
  })
  running.catch(() => {}) // Whoever calls start() hears of it.
  const { stdin, stdout } = child
  stdin?.on("error", () => {}) // A guard that was killed no longer reads.
  if (stdout !== null) {
    createInterface({ input: stdout }).on("line", (line) => {
      const message: Message = JSON.parse(line)
      if (message.started !== undefined) started(message.started)
      if (message.failed !== undefined) end = { reason: message.failed }
      if (message.exited !== undefined) end = { reason: describe(message.exited) }
    })
  }
  const ended = new Promise<GuardedEnd>((resolve) => {
    child.once("close", () => {
      failed(new Error(end.reason))
      resolve(end)
    })
  })
  const start = (): Promise<number> => {
    stdin?.write("go\n")
    return running
  }
  return { guardPid, start, ended, unref: () => keepAlive(child, false), stop: () => stop(child, ended) }
}

async function stop(child: ChildProcess, ended: Promise<GuardedEnd>): Promise<void> {
  keepAlive(child, true)
  child.stdin?.end()
  const timer = setTimeout(() => child.kill("SIGKILL"), GUARD_STOP_MS)
  await ended
  clearTimeout(timer)
}

/** Whether the guard and its pipes keep this process running: only while somebody waits for them. */
function keepAlive(child: ChildProcess, wanted: boolean): void {
  for (const handle of [child, child.stdin, child.stdout] as ({ ref?(): void; unref?(): void } | null)[]) {
    if (wanted) handle?.ref?.()
    else handle?.unref?.()
  }
}

const describe = ({ code, signal }: { code: number | null; signal: string | null }): string =>
  signal === null ? `exit code ${code}` : `signal ${signal}`
