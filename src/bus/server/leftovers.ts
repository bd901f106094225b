import { execFile } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { MurmurError } from "../../errors.js"
import type { ServerFiles } from "./config.js"
import { isAlive } from "./liveness.js"
import { readState } from "./running.js"
import { waitFor } from "./wait.js"

/** How long a server gets to end by itself before it is killed, in milliseconds. */
export const STOP_MS = 10_000

/**
 * Makes sure that nothing of an earlier run works on the store, before a server is started on it: waits for the guard that
 * is stopping its server, and stops a server whose guard was killed. Such a server is not kept: nobody would stop it.
 * A process counts as ours by its command line, never by its id alone.
 *
 * @throws MurmurError `SERVER_STUCK` when one cannot be stopped
 */
export async function clearLeftovers(dir: string, files: ServerFiles, lastGuardPid: number | undefined): Promise<void> {
  const guardPid = lastGuardPid ?? readState(dir)?.guardPid
  if (guardPid !== undefined) await end(guardPid, "SIGTERM", files)
  for (const pid of new Set([readState(dir)?.pid, pidFromFile(files.pidFile)])) {
    if (pid !== undefined) await end(pid, "SIGINT", files)
  }
  for (const name of readdirSync(files.store)) {
    if (name.endsWith(".ports")) rmSync(join(files.store, name), { force: true })
  }
}

async function end(pid: number, signal: "SIGTERM" | "SIGINT", files: ServerFiles): Promise<void> {
  if (!(await isOurs(pid, files))) return
  const gone = (): true | undefined => (isAlive(pid) ? undefined : true)
  send(pid, signal)
  if (await waitFor(gone, STOP_MS + 2_000)) return
  send(pid, "SIGKILL")
  if (await waitFor(gone, 5_000)) return
  throw new MurmurError(
    `Cannot start nats-server on ${files.store}: process ${pid}, left by an earlier run, works on that store and does not end. Stop it, then start again`,
    { code: "SERVER_STUCK", details: { pid } },
  )
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone by itself just now; or not ours to stop, which the wait will tell.
  }
}

/** Guard and server both carry the path of the configuration among their arguments. */
async function isOurs(pid: number, files: ServerFiles): Promise<boolean> {
  return pid !== process.pid && isAlive(pid) && (await commandLine(pid)).includes(files.config)
}

function commandLine(pid: number): Promise<string> {
  if (process.platform === "linux") {
    try {
      return Promise.resolve(readFileSync(`/proc/${pid}/cmdline`, "utf8"))
    } catch {
      return Promise.resolve("")
    }
  }
  const query = `(Get-CimInstance Win32_Process -Filter "ProcessId=${pid}").CommandLine`
  return process.platform === "win32"
    ? output("powershell.exe", ["-NoProfile", "-NonInteractive", "-Command", query])
    : output("ps", ["-ww", "-o", "args=", "-p", String(pid)])
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 10_000, windowsHide: true }, (_error, stdout) => resolve(stdout))
  })
}

/** Written by the server itself: it is there also when we were killed before we could write down anything. */
function pidFromFile(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, "utf8"), 10)
    return Number.isInteger(pid) ? pid : undefined
  } catch {
    return undefined
  }
}
