import { checkName } from "../bus/subjects.js"
import type { Cli } from "./cli.js"
import type { UpOptions } from "./up.js"
import { checkedArgument, usageError } from "./usage.js"

const LEVELS = ["debug", "info", "warn", "error", "silent"]

/** `murmur up`: checks what was written, and starts. */
export async function startUp(
  { options: { nats, mesh, login, json } }: Cli,
  [paths]: [string[]],
  { noHttp = false, ...options }: Omit<UpOptions, "nats" | "mesh" | "login" | "json" | "http"> & { noHttp?: boolean },
): Promise<void> {
  checkedArgument(() => checkName(mesh, "mesh"))
  const { logLevel } = options
  if (logLevel !== undefined && !LEVELS.includes(logLevel)) {
    throw usageError(`--log-level must be one of ${LEVELS.join(", ")}, is "${logLevel}"`)
  }
  const { up } = await import("./up.js")
  await up(paths, {
    ...options,
    http: !noHttp,
    mesh,
    login,
    json,
    ...(nats !== undefined && { nats }),
  })
}
