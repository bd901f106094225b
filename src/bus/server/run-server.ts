import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { MurmurError } from "../../errors.js"
import { askInfo } from "./ask-info.js"
import { type ServerFiles, type SyncInterval, serverConfig } from "./config.js"
import { type Guarded, guard } from "./guard.js"
import { waitFor } from "./wait.js"
import { writeWhole } from "./write-file.js"

/** A server process of ours, ready for clients. */
export interface ServerRun extends Pick<Guarded, "guardPid" | "ended" | "stop"> {
  readonly url: string
  readonly port: number
  readonly monitorUrl: string | undefined
  readonly pid: number
  readonly version: string
  /** What the server calls itself; another at each start. */
  readonly serverId: string
}

export interface RunOptions {
  readonly bin: string
  readonly files: ServerFiles
  /** 0 lets the server choose a free one. */
  readonly port: number
  readonly syncInterval: SyncInterval
  /** Called with the guard's process id before the server is started. */
  readonly onGuard: (guardPid: number) => void
  readonly signal?: AbortSignal | undefined
}

/** A large store is read before the server answers. As long as the process lives we wait, up to this. */
const READY_MS = 5 * 60_000

/**
 * Starts a server and waits until it answers.
 *
 * @throws MurmurError `SERVER_PORT` when it cannot listen on the port, `SERVER_START` with what it logged
 */
export async function runServer(options: RunOptions): Promise<ServerRun> {
  const { bin, files, port, syncInterval, onGuard, signal } = options
  writeWhole(files.config, serverConfig(files, port === 0 ? -1 : port, syncInterval))
  const logStart = sizeOf(files.log)
  const guarded = await guard(bin, ["-c", files.config], files.log)
  try {
    onGuard(guarded.guardPid)
    const pid = await guarded.start()
    const seen = await ready(pid, guarded, files, signal)
    guarded.unref()
    const { guardPid, ended, stop } = guarded
    return { ...seen, pid, guardPid, ended, stop }
  } catch (error) {
    await guarded.stop()
    signal?.throwIfAborted()
    throw explain(error as Error, port, readFrom(files.log, logStart), files)
  }
}

type Ready = Pick<ServerRun, "url" | "port" | "monitorUrl" | "version" | "serverId">

/** The server writes its ports file when it listens: only so it can choose a free port that nobody else takes meanwhile. */
async function ready(pid: number, guarded: Guarded, files: ServerFiles, signal?: AbortSignal): Promise<Ready> {
  const over = new AbortController()
  const ended = guarded.ended.then(({ reason }) => over.abort(new Error(reason)))
  const either = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])
  const look = async (): Promise<Ready | undefined> => {
    const ports = readPorts(files.store, pid)
    const url = ports?.nats[0]
    const info = url === undefined ? undefined : await askInfo(url)
    if (url === undefined || info === undefined) return undefined
    const { version, server_id: serverId } = info
    return { url, port: Number(new URL(url).port), monitorUrl: ports?.monitoring?.[0], version, serverId }
  }
  const seen = await Promise.race([waitFor(look, READY_MS, either), ended.then(() => undefined)])
  over.signal.throwIfAborted()
  if (seen === undefined) throw new Error(`it did not answer within ${READY_MS / 1_000} s`)
  return seen
}

/** Its name begins with the program's, which may be anything. */
function readPorts(folder: string, pid: number): { nats: string[]; monitoring?: string[] } | undefined {
  try {
    const name = readdirSync(folder).find((entry) => entry.endsWith(`_${pid}.ports`))
    return name === undefined ? undefined : JSON.parse(readFileSync(join(folder, name), "utf8"))
  } catch {
    return undefined // Half written.
  }
}

function explain(error: Error, port: number, log: string, files: ServerFiles): MurmurError {
  const fatal = log.split("\n").filter((line) => line.includes("[FTL]") || !line.startsWith("["))
  const said = fatal.map((line) => line.replace(/^\[\d+\] \S+ \S+ \[FTL\] /, "").trim()).filter((line) => line !== "")
  const bind = said.find((line) => /Error listening on port/.test(line))
  if (bind !== undefined && port !== 0) {
    return new MurmurError(
      `Cannot start nats-server on port ${port}: ${/permission denied/.test(bind) ? "it may not be used by this user" : "another program uses it"}. Choose another port, or 0 for a free one`,
      { code: "SERVER_PORT", cause: error, details: { port, log: bind } },
    )
  }
  return new MurmurError(
    `Cannot start nats-server: ${error.message}${said.length > 0 ? `: ${said.slice(-3).join("; ")}` : ""}. Its log is ${files.log}`,
    { code: "SERVER_START", cause: error, details: { log: said } },
  )
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size
  } catch {
    return 0
  }
}

function readFrom(file: string, start: number): string {
  try {
    return readFileSync(file).subarray(start).toString("utf8")
  } catch {
    return ""
  }
}
