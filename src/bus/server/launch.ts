import { isMurmurError } from "../../errors.js"
import { ensureServerBinary } from "./binary.js"
import type { ServerFiles, SyncInterval } from "./config.js"
import { clearLeftovers } from "./leftovers.js"
import { startToken } from "./liveness.js"
import type { Ownership } from "./ownership.js"
import type { OnProgress } from "./progress.js"
import { runServer, type ServerRun } from "./run-server.js"
import type { ServerState } from "./running.js"
import { writeWhole } from "./write-file.js"

/** What every start of the server on one state folder has in common. */
export interface LaunchSetting {
  readonly dir: string
  readonly files: ServerFiles
  readonly bin: string | undefined
  readonly syncInterval: SyncInterval
  readonly onProgress: OnProgress | undefined
}

/**
 * Starts the server under a claim: clears what an earlier run left, finds the binary, tries the ports in turn, and writes
 * down what runs.
 *
 * @param ports at least one; 0 stands for any free one
 * @throws MurmurError `SERVER_PORT`, `SERVER_START`, `SERVER_STUCK`, `SERVER_BINARY`, `SERVER_TOO_OLD`
 */
export async function launch(
  setting: LaunchSetting,
  ownership: Ownership,
  ports: readonly number[],
  signal: AbortSignal,
): Promise<ServerRun> {
  const { dir, files, syncInterval, onProgress } = setting
  await clearLeftovers(dir, files, ownership.lastGuardPid)
  const { path: bin, version } = await ensureServerBinary({ bin: setting.bin, onProgress, signal })
  onProgress?.({ phase: "start", detail: `nats-server ${version}` })
  const onGuard = (guardPid: number): void => ownership.note({ guardPid })
  const run = await onFirst(ports, onProgress, (port) => runServer({ bin, files, port, syncInterval, onGuard, signal }))
  ownership.note({ port: run.port })
  writeWhole(files.state, `${JSON.stringify(stateOf(run), undefined, 2)}\n`)
  return run
}

async function onFirst(
  ports: readonly number[],
  onProgress: OnProgress | undefined,
  start: (port: number) => Promise<ServerRun>,
): Promise<ServerRun> {
  const [port = 0, ...others] = ports
  try {
    return await start(port)
  } catch (error) {
    if (others.length === 0 || !isMurmurError(error) || error.code !== "SERVER_PORT") throw error
    const next = others[0] === 0 ? "a free one" : `port ${others[0]}`
    onProgress?.({ phase: "start", detail: `port ${port} is taken by another program; trying ${next}` })
    return onFirst(others, onProgress, start)
  }
}

function stateOf(run: ServerRun): ServerState {
  const { url, monitorUrl, pid, guardPid, version, serverId } = run
  const startedAt = new Date().toISOString()
  return {
    url,
    monitorUrl,
    pid,
    pidToken: startToken(pid),
    guardPid,
    ownerPid: process.pid,
    version,
    serverId,
    startedAt,
  }
}
