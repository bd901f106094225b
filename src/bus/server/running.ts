import { readFileSync } from "node:fs"
import { isSameProcess } from "./liveness.js"

/** What `server.json` in the state folder says about the server that runs on it. More fields may come. */
export interface ServerState {
  readonly url: string
  /** Where it answers `/varz` and `/jsz`; reachable from this machine only. */
  readonly monitorUrl?: string | undefined
  readonly pid: number
  /** Tells this process from a later one with the same id, where the system has such a thing. */
  readonly pidToken?: string | undefined
  /** The process that stops the server when its owner is gone. */
  readonly guardPid: number
  readonly ownerPid: number
  readonly version: string
  /** What the server calls itself; tells it from another one that has come to listen on its port. */
  readonly serverId: string
  /** RFC 3339. */
  readonly startedAt: string
}

/** A server that runs on a state folder. */
export interface RunningServer {
  readonly url: string
  readonly pid: number
  readonly version: string
  readonly monitorUrl?: string | undefined
}

/**
 * The server that runs on this state folder (`.murmur`), or `undefined`. Made for the start of every command: it reads one
 * small file and asks the system about one process; whether the server answers is seen when connecting.
 *
 * @example
 * const url = options.nats ?? (await findRunningServer(".murmur"))?.url
 */
export function findRunningServer(dir: string): Promise<RunningServer | undefined> {
  const state = readState(dir)
  if (state === undefined || !isSameProcess(state.pid, state.pidToken)) return Promise.resolve(undefined)
  const { url, pid, version, monitorUrl } = state
  return Promise.resolve({ url, pid, version, monitorUrl })
}

/** The state as written, whether or not that server still runs; `undefined` when there is none or it cannot be read. */
export function readState(dir: string): ServerState | undefined {
  try {
    const state: ServerState = JSON.parse(readFileSync(`${dir}/server.json`, "utf8"))
    return typeof state.url === "string" && Number.isInteger(state.pid) ? state : undefined
  } catch {
    return undefined
  }
}
