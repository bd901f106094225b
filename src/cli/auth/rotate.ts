import type { Cli } from "../cli.js"
import { expiry } from "./add-node.js"
import { AUTH_FOLDER, AuthFolder, INCLUDE, seedFile, userOf } from "./folder.js"
import { writeInclude } from "./includes.js"
import { loginFile } from "./init.js"
import { type ReloadOptions, reload } from "./reload.js"
import { tell } from "./tell.js"

/** Options of `murmur auth rotate`. */
export interface RotateOptions extends ReloadOptions {
  dir?: string
  now?: boolean
  expires?: number
}

/**
 * `murmur auth rotate <user>`: a new key. The old one is let in as well until "murmur auth revoke <user> --old", so that
 * nodes can be restarted one after the other; with `--now` it is not let in any more at once.
 */
export async function authRotate(cli: Cli, [name]: [string], options: RotateOptions): Promise<void> {
  const folder = new AuthFolder(options.dir ?? AUTH_FOLDER)
  const records = await folder.records()
  const user = userOf(records, name)
  const before = user.keys
  const { publicKey } = await folder.make("user", seedFile(name))
  Object.assign(user, { keys: options.now ? [publicKey] : [publicKey, ...before], since: new Date().toISOString() })
  if (records.mode === "jwt") {
    const { dropKeys, writeCreds } = await import("./signed.js")
    await writeCreds(folder, user, expiry(options.expires))
    if (options.now) dropKeys(records, user, before)
  }
  await folder.save(records)
  const changed = new Set([loginFile(records, name)])
  if (await writeInclude(folder, records)) changed.add(INCLUDE)
  const left = await reload(options, changed.has(INCLUDE))
  const then = options.now ? undefined : `give nodes the new file, then "murmur auth revoke ${name} --old"`
  const hint = [left, then].filter((part) => part !== undefined).join("; ") || undefined
  await tell(cli, folder, {
    files: [loginFile(records, name), INCLUDE],
    changed,
    hint,
    more: { name, keys: user.keys },
  })
}
