import { ensureError, MurmurError } from "../../errors.js"

/** How servers hear of a change. */
export interface ReloadOptions {
  /** Process id of a nats-server on this machine. */
  pid?: number
}

/**
 * Has a server on this machine read its configuration again.
 *
 * @returns what is left to do; `undefined` when nothing is
 * @throws MurmurError `AUTH_RELOAD`
 */
export async function reload({ pid }: ReloadOptions, isChanged: boolean): Promise<string | undefined> {
  if (!isChanged) return undefined
  if (pid === undefined) return 'have each server read it again: "nats-server --signal reload", or SIGHUP'
  try {
    process.kill(pid, "SIGHUP")
    return undefined
  } catch (cause) {
    throw new MurmurError(`Cannot reload the server with process id ${pid}: ${ensureError(cause).message}`, {
      code: "AUTH_RELOAD",
      cause,
    })
  }
}
