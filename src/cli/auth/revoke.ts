import { MurmurError } from "../../errors.js"
import type { Cli } from "../cli.js"
import { AUTH_FOLDER, AuthFolder, INCLUDE, type Records, type User, userOf } from "./folder.js"
import { writeInclude } from "./includes.js"
import { type ReloadOptions, reload } from "./reload.js"
import { tell } from "./tell.js"

/** Options of `murmur auth revoke`. */
export interface RevokeOptions extends ReloadOptions {
  dir?: string
  old?: boolean
}

/**
 * `murmur auth revoke <user>`: servers let it in no more, and end its connections when they have read their configuration
 * again. With `--old` only the keys that were rotated out.
 */
export async function authRevoke(cli: Cli, [name]: [string], options: RevokeOptions): Promise<void> {
  const folder = new AuthFolder(options.dir ?? AUTH_FOLDER)
  const records = await folder.records()
  const user = userOf(records, name)
  const revoked = options.old ? user.keys.slice(1) : user.keys
  await drop(records, user, revoked, options.old === true)
  await folder.save(records)
  const changed = new Set((await writeInclude(folder, records)) ? [INCLUDE] : [])
  const hint = await reload(options, changed.has(INCLUDE))
  await tell(cli, folder, { files: [INCLUDE], changed, hint, more: { name, revoked } })
}

async function drop(records: Records, user: User, keys: readonly string[], onlyOld: boolean): Promise<void> {
  if (!onlyOld && user.kind !== "node") {
    throw new MurmurError(
      `Cannot revoke "${user.name}": without its ${user.kind} a mesh cannot be mended. Give it another key with "murmur auth rotate ${user.name} --now"`,
      { code: "AUTH_USER", details: { name: user.name } },
    )
  }
  if (records.mode === "jwt") (await import("./signed.js")).dropKeys(records, user, keys)
  // with JWT the account stays, and with it the list of what is revoked in it
  if (onlyOld) user.keys = user.keys.slice(0, 1)
  else records.users = records.users.filter((one) => one !== user)
}
