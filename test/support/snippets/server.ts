import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"

/** A real server of its own for one page, with an empty store. */
export interface PageServer {
  readonly url: string
  stop(): Promise<void>
}

/** Starts the server binary that the test run has found (`NATS_SERVER_BIN`, else the PATH), on a free port. */
export async function startPageServer(): Promise<PageServer> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-docs-server-"))
  const args = ["-a", "127.0.0.1", "-p", "-1", "-js", "-sd", folder, "--ports_file_dir", folder]
  const child = spawn(process.env.NATS_SERVER_BIN ?? "nats-server", args, { stdio: "ignore" })
  const stop = async (): Promise<void> => {
    if (child.pid !== undefined && child.exitCode === null) {
      const ended = once(child, "exit")
      child.kill("SIGINT")
      await ended
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    return { url: await urlOf(child, folder), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The server writes the port that it got into a file. */
async function urlOf(child: ChildProcess, folder: string): Promise<string> {
  const failed = once(child, "error").then(([error]) => Promise.reject(error))
  failed.catch(() => {})
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline) {
    const url = urlIn(folder)
    if (url !== undefined) return url
    if (child.exitCode !== null) break
    await Promise.race([setTimeout(20), failed])
  }
  throw new Error(`nats-server did not start (exit code ${child.exitCode ?? "none"})`)
}

function urlIn(folder: string): string | undefined {
  const file = readdirSync(folder).find((name) => name.endsWith(".ports"))
  if (file === undefined) return undefined
  try {
    const ports = JSON.parse(readFileSync(join(folder, file), "utf8")) as { nats?: string[] }
    return ports.nats?.[0]
  } catch {
    return undefined // half written
  }
}
