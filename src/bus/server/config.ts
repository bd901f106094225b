import { join } from "node:path"

/** Where the parts of a local server lie below the state folder. */
export interface ServerFiles {
  /** Store, configuration and what the server says about itself. */
  readonly store: string
  readonly config: string
  readonly pidFile: string
  readonly log: string
  readonly state: string
}

/** @param dir absolute path of the state folder */
export function serverFiles(dir: string): ServerFiles {
  const store = join(dir, "nats")
  return {
    store,
    config: join(store, "server.conf"),
    pidFile: join(store, "server.pid"),
    log: join(dir, "nats-server.log"),
    state: join(dir, "server.json"),
  }
}

/** How often the server writes what it has accepted to disk: `always` before each ack, or every so often, such as `2m`. */
export type SyncInterval = "always" | `${number}${"ms" | "s" | "m" | "h"}`

/**
 * The configuration of a local server: this machine only, acks that mean disk.
 *
 * @param port -1 lets the server choose a free one
 */
export function serverConfig(files: ServerFiles, port: number, syncInterval: SyncInterval): string {
  return `# Written by murmur at each start of the server; changes made here are lost.
listen: "127.0.0.1:${port}"
# For murmur doctor: /varz, /jsz. A free port each time; server.json has it.
http: "127.0.0.1:-1"
max_payload: 1MB
pid_file: ${quoted(files.pidFile)}
ports_file_dir: ${quoted(files.store)}
log_file: ${quoted(files.log)}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {
  store_dir: ${quoted(files.store)}
  # An ack means disk. The server's default loses acked messages when the power fails.
  sync_interval: ${syncInterval}
}
`
}

/** JSON's escapes of quotes and backslashes are the ones that the server's configuration knows. */
const quoted = (path: string): string => JSON.stringify(path)
