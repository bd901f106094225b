import { execFile } from "node:child_process"

/** How long a binary may take to say its version. Virus scanners look at a fresh one first. */
const PROBE_MS = 15_000

/**
 * The version in what `nats-server --version` prints (`nats-server: v2.15.1`), without the `v`; `undefined` when the text
 * is something else's.
 */
export function parseVersion(output: string): string | undefined {
  return /^nats-server:\s*v?(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1]
}

/**
 * Runs a binary to learn its version. That it runs at all is the other half of the answer: a file for another
 * processor or a cut-off copy does not.
 *
 * @throws Error with the reason in plain words
 */
export function probeVersion(path: string, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(path, ["--version"], { timeout: PROBE_MS, windowsHide: true, signal }, (error, stdout) => {
      if (signal?.aborted) return reject(signal.reason)
      const version = error === null ? parseVersion(stdout) : undefined
      if (version !== undefined) return resolve(version)
      reject(new Error(error === null ? "it does not say a nats-server version" : reasonOf(error)))
    })
  })
}

function reasonOf(error: Error & { code?: unknown; killed?: boolean }): string {
  if (error.code === "ENOENT") return "there is no such file"
  if (error.code === "EACCES") return "it may not be executed"
  if (error.code === "ENOEXEC" || error.code === "UNKNOWN") return "it is not a program for this machine"
  if (error.killed) return `it did not say its version within ${PROBE_MS} ms`
  return `it does not run (${error.message.trim().split("\n")[0]})`
}
