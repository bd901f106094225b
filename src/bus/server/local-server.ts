import { mkdirSync, realpathSync } from "node:fs"
import { join, resolve } from "node:path"
import { MurmurError } from "../../errors.js"
import { askInfo } from "./ask-info.js"
import { type SyncInterval, serverFiles } from "./config.js"
import { type LaunchSetting, launch } from "./launch.js"
import { processPlace } from "./liveness.js"
import { Member } from "./member.js"
import { checkKeys, optionError } from "./options.js"
import { currentClaim, Ownership } from "./ownership.js"
import type { OnProgress } from "./progress.js"
import { readState, type ServerState } from "./running.js"
import { waitFor } from "./wait.js"

/** Options of {@link startLocalServer}. */
export interface LocalServerOptions {
  /** The state folder of the mesh, `.murmur`; made if missing. The store lies in `nats/` below it. */
  readonly dir: string
  /** Where clients connect. 0: a free port. Default: 4222, or a free port when another program has that one. */
  readonly port?: number | undefined
  /** See {@link ensureServerBinary}. */
  readonly bin?: string | undefined
  /** When what was acked is on disk. Default `always`: before the ack. Anything else loses acked messages at a power cut. */
  readonly syncInterval?: SyncInterval | undefined
  /** Told while a server is fetched or started. */
  readonly onProgress?: OnProgress | undefined
  /** Ends the start. Once `startLocalServer` has resolved it has no effect: use `stop()`. */
  readonly signal?: AbortSignal | undefined
}

/** The server went away without having been asked to. */
export interface ServerExit {
  /** One line for people and logs. */
  readonly reason: string
  /** Whether it is being started again on the same port and store: clients then only have to reconnect. */
  readonly restarting: boolean
}

/** Our part in the server that runs on a state folder. */
export interface LocalServer {
  /** Stays the same over restarts and takeovers. */
  readonly url: string
  /** Of the server. */
  readonly version: string
  /** Of the server; changes when it is started again. */
  readonly pid: number
  /** The owner runs the server; it ends with the owner. Who joined becomes owner when the owner goes away. */
  readonly role: "owner" | "joined"
  /** Ends our part: the owner stops the server, who joined leaves it alone. May be called again. */
  stop(): Promise<void>
  /** Calls back each time the server goes away unasked. Returns a function that ends that. */
  onExit(callback: (exit: ServerExit) => void): () => void
}

/** Where NATS clients look by themselves. */
const DEFAULT_PORT = 4222

/** How long we wait for another process to bring its server up. Fetching one and reading a large store both take time. */
const JOIN_MS = 5 * 60_000

/** The same when the other process is in another container: it may use our folder, but its server cannot be reached. */
const FOREIGN_MS = 20_000

const KEYS = ["dir", "port", "bin", "syncInterval", "onProgress", "signal"]

/**
 * Starts a `nats-server` with JetStream on the state folder of a mesh, reachable from this machine only, or joins the one
 * that runs there. The server ends with the process that owns it, also when that is killed; a crashed server is started
 * again; a process that joined takes over from an owner that went away, on the same port and store.
 *
 * The server does not keep this process running.
 *
 * @throws MurmurError `SERVER_OPTION`, `SERVER_PORT` when the given port is taken, `SERVER_START`, `SERVER_STUCK`,
 *   `SERVER_IN_USE` when another process holds the folder and its server cannot be reached, and what
 *   {@link ensureServerBinary} throws
 * @example
 * const server = await startLocalServer({ dir: ".murmur", port: 0 })
 * const connection = await connectNats({ url: server.url, name: "example" })
 * await server.stop()
 */
export async function startLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  check(options)
  const { port, signal, onProgress, bin, syncInterval = "always" } = options
  mkdirSync(join(options.dir, "nats"), { recursive: true, mode: 0o700 })
  // The real path: the same folder reached by another name must look the same to all processes.
  const dir = realpathSync(resolve(options.dir))
  const setting: LaunchSetting = { dir, files: serverFiles(dir), bin, syncInterval, onProgress }
  const entry = await takeOrJoin(setting, signal)
  if (entry.as === "joined") {
    const { url } = entry.state
    const other = port !== undefined && port !== 0 && !url.endsWith(`:${port}`) ? `, not on port ${port}` : ""
    onProgress?.({ phase: "start", detail: `joined the server that runs here, ${url}${other}` })
    return new Member(setting, entry.state)
  }
  const { ownership } = entry
  try {
    const run = await launch(setting, ownership, portsToTry(port, ownership), signal ?? new AbortController().signal)
    return new Member(setting, run, { ownership, run })
  } catch (error) {
    ownership.release()
    throw error
  }
}

type Entry = { as: "owner"; ownership: Ownership } | { as: "joined"; state: ServerState }

async function takeOrJoin(setting: LaunchSetting, signal: AbortSignal | undefined): Promise<Entry> {
  const { dir, onProgress } = setting
  const waitingSince = performance.now()
  let told = false
  const look = async (): Promise<Entry | undefined> => {
    const ownership = Ownership.take(dir)
    if (ownership !== undefined) return { as: "owner", ownership }
    const state = readState(dir)
    if (state !== undefined && (await askInfo(state.url))?.server_id === state.serverId) return { as: "joined", state }
    const claim = currentClaim(dir)
    const waitedMs = performance.now() - waitingSince
    if (claim !== undefined && claim.place !== processPlace() && waitedMs > FOREIGN_MS) throw inUse(dir, claim.pid)
    if (!told && waitedMs > 1_000) {
      told = true
      onProgress?.({ phase: "start", detail: `waiting for process ${claim?.pid}, which is starting the server` })
    }
    return undefined
  }
  const entry = await waitFor(look, JOIN_MS, signal, 50)
  if (entry === undefined) throw inUse(dir, currentClaim(dir)?.pid)
  return entry
}

function inUse(dir: string, pid: number | undefined): MurmurError {
  return new MurmurError(
    `Cannot start nats-server in "${dir}": process ${pid} (perhaps in another container) holds that folder, and its server does not answer. Stop that process, or use another folder (MURMUR_DIR)`,
    { code: "SERVER_IN_USE", details: { dir, pid } },
  )
}

/** After a crash the old port comes first: those who had joined go on reconnecting to it. */
function portsToTry(port: number | undefined, { previous }: Ownership): number[] {
  if (port !== undefined && port !== 0) return [port]
  const crashed = previous?.port !== undefined && previous.released !== true ? [previous.port] : []
  return [...new Set([...crashed, ...(port === undefined ? [DEFAULT_PORT] : []), 0])]
}

function check(options: LocalServerOptions): void {
  const action = "start nats-server"
  checkKeys(action, options, KEYS)
  const { dir, port, syncInterval } = options
  if (typeof dir !== "string" || dir === "") throw optionError(action, '"dir" must be the path of the state folder')
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw optionError(action, `"port" must be a whole number from 0 to 65535, is ${port}`)
  }
  if (syncInterval !== undefined && !/^(always|\d+(ms|s|m|h))$/.test(syncInterval)) {
    throw optionError(action, `"syncInterval" must be "always" or a duration such as "2m", is "${syncInterval}"`)
  }
}
