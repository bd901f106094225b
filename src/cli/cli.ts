import type { LoginOptions } from "../bus/login.js"
import type { Output } from "./output.js"

/** What every command takes. */
export interface GlobalOptions {
  /** Servers by `--nats` or `NATS_URL`; without them the local mesh is looked for. */
  readonly nats: string | undefined
  readonly mesh: string
  /** Who it is, and whom it trusts. */
  readonly login: LoginOptions
  readonly json: boolean
}

/** What every command is given. */
export interface Cli {
  readonly options: GlobalOptions
  readonly out: Output
}
