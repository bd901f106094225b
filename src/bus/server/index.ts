export { ensureServerBinary } from "./binary.js"
export { type LocalServer, type LocalServerOptions, type ServerExit, startLocalServer } from "./local-server.js"
export type { ServerProgress } from "./progress.js"
export { findRunningServer } from "./running.js"
