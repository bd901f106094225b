import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { createIdentity, type IdentityKey } from "../../bus/identity.js"
import { ensureError, MurmurError } from "../../errors.js"
import type { Identities } from "../../node/rights/server-config.js"

/** Where the identities of a mesh lie unless it is said otherwise. */
export const AUTH_FOLDER = ".murmur/auth"

const User = z.object({
  name: z.string(),
  kind: z.enum(["system", "deployer", "operator", "node"]),
  /** Public keys, the newest first: two while one is rotated. */
  keys: z.array(z.string()).min(1),
  /** When the newest was made. */
  since: z.string(),
  /** Of a node: what it may publish to, and what it hosts. */
  publish: z.array(z.string()).default([]),
  hosts: z.array(z.string()).default([]),
})
/** A user as it is known without its secrets. */
export type User = z.infer<typeof User>

const Records = z.object({
  format: z.literal(1),
  mesh: z.string(),
  /** `nkey`: users stand in the server's configuration. `jwt`: servers believe what an operator has signed. */
  mode: z.enum(["nkey", "jwt"]),
  users: z.array(User),
  /** Public keys of accounts, by name; only with `jwt`. */
  accounts: z.record(z.string(), z.string()).default({}),
  /** Keys that are not let in any more, and since when (seconds since 1970), by account; only with `jwt`. */
  revoked: z.record(z.string(), z.record(z.string(), z.number())).default({}),
})
/** Who there is in a mesh. */
export type Records = z.infer<typeof Records>

/** What servers include. */
export const INCLUDE = "auth.conf"

const RECORDS = "identities.json"
/** Nobody but their owner reads keys. */
const SECRET = 0o600

/** The folder with a mesh's identities: public facts in `identities.json`, each secret in a file of its own. */
export class AuthFolder {
  constructor(readonly path: string) {}

  file(name: string): string {
    return join(this.path, name)
  }

  /** @throws MurmurError `AUTH_FOLDER` when it holds something else; `undefined` when nothing was begun */
  async find(): Promise<Records | undefined> {
    const text = await this.read(RECORDS)
    if (text === undefined) return undefined
    try {
      return Records.parse(JSON.parse(text))
    } catch (cause) {
      throw new MurmurError(`Cannot read ${this.file(RECORDS)}: it is not what "murmur auth init" writes`, {
        code: "AUTH_FOLDER",
        cause,
      })
    }
  }

  /** @throws MurmurError `AUTH_FOLDER` when nothing was begun */
  async records(): Promise<Records> {
    const records = await this.find()
    if (records !== undefined) return records
    throw new MurmurError(`There are no identities in "${this.path}": run "murmur auth init" first, or name --dir`, {
      code: "AUTH_FOLDER",
    })
  }

  /** What a file holds; `undefined` when it is not there. */
  async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(this.file(name), "utf8")
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
      throw unusable(this.file(name), cause)
    }
  }

  /** Writes a file in one move: a server that reloads reads no half of it. */
  async write(name: string, text: string, mode = 0o644): Promise<void> {
    const file = this.file(name)
    try {
      await mkdir(this.path, { recursive: true, mode: 0o700 })
      await writeFile(`${file}.new`, text, { mode })
      await rename(`${file}.new`, file)
    } catch (cause) {
      throw unusable(file, cause)
    }
  }

  writeSecret(name: string, text: string): Promise<void> {
    return this.write(name, text, SECRET)
  }

  save(records: Records): Promise<void> {
    return this.write(RECORDS, `${JSON.stringify(Records.parse(records), null, 2)}\n`)
  }

  /** The seed in a file. @throws MurmurError `AUTH_FOLDER` when it is gone */
  async seed(name: string): Promise<string> {
    const seed = await this.read(name)
    if (seed !== undefined) return seed.trim()
    throw new MurmurError(`There is no ${this.file(name)}: a key that is lost is replaced by "murmur auth rotate"`, {
      code: "AUTH_FOLDER",
    })
  }

  /** Makes a key, and writes its seed. */
  async make(kind: "user" | "account" | "operator", name: string): Promise<IdentityKey> {
    const key = createIdentity(kind)
    await this.writeSecret(name, `${key.seed}\n`)
    return key
  }
}

/** The file with the seed of a user. */
export function seedFile(user: string): string {
  return `${user}.nk`
}

/** The user of a name. @throws MurmurError `AUTH_USER` */
export function userOf({ users }: Records, name: string): User {
  const user = users.find((one) => one.name === name)
  if (user !== undefined) return user
  const known = users.map((one) => one.name).join(", ")
  throw new MurmurError(`There is no user "${name}" (known: ${known})`, { code: "AUTH_USER", details: { name } })
}

/** Those users as a server's configuration is made of them. */
export function identitiesOf({ users }: Records): Identities {
  return {
    system: users.filter(({ kind }) => kind === "system"),
    admins: users.filter(({ kind }) => kind === "deployer" || kind === "operator"),
    nodes: users.filter(({ kind }) => kind === "node"),
  }
}

function unusable(file: string, cause: unknown): MurmurError {
  return new MurmurError(`Cannot use ${file}: ${ensureError(cause).message}`, { code: "AUTH_FOLDER", cause })
}
