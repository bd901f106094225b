import { MurmurError } from "../../errors.js"
import { MESH_ACCOUNT, SYSTEM_ACCOUNT } from "../../node/rights/server-config.js"
import type { Cli } from "../cli.js"
import { AUTH_FOLDER, AuthFolder, INCLUDE, type Records, seedFile, type User } from "./folder.js"
import { writeInclude } from "./includes.js"
import { tell } from "./tell.js"

/** Options of `murmur auth init`. */
export interface AuthInitOptions {
  dir?: string
  jwt?: boolean
  tls?: string
}

const USERS = [
  { name: "sys", kind: "system" },
  { name: "deployer", kind: "deployer" },
  { name: "operator", kind: "operator" },
] as const

/**
 * `murmur auth init`: the identities of a mesh: who sees the servers, who deploys, who operates. What is there is kept, so
 * that it may be run again.
 */
export async function authInit(cli: Cli, _args: [], options: AuthInitOptions): Promise<void> {
  const folder = new AuthFolder(options.dir ?? AUTH_FOLDER)
  const mode = options.jwt === true ? "jwt" : "nkey"
  const found = await folder.find()
  if (found !== undefined) checkSame(folder, found, { mesh: cli.options.mesh, mode })
  const records: Records = found ?? { format: 1, mesh: cli.options.mesh, mode, users: [], accounts: {}, revoked: {} }
  const made = await makeUsers(folder, records)
  if (records.mode === "jwt") await makeCredentials(folder, records, made)
  await folder.save(records)
  const files = [INCLUDE, ...records.users.map(({ name }) => loginFile(records, name))]
  const changed = new Set(made.map((name) => loginFile(records, name)))
  if (await writeInclude(folder, records)) changed.add(INCLUDE)
  if (options.tls !== undefined) {
    const { makeCertificates } = await import("./certificates.js")
    for (const { file, isNew } of await makeCertificates(folder, options.tls.split(","))) {
      files.push(file)
      if (isNew) changed.add(file)
    }
  }
  await tell(cli, folder, {
    files,
    changed,
    hint: `include "${folder.file(INCLUDE)}" in the configuration of each server`,
  })
}

/** The file by which a user logs in. */
export function loginFile({ mode }: Pick<Records, "mode">, user: string): string {
  return mode === "jwt" ? `${user}.creds` : seedFile(user)
}

async function makeUsers(folder: AuthFolder, records: Records): Promise<string[]> {
  const made: string[] = []
  for (const { name, kind } of USERS) {
    if (records.users.some((user) => user.name === name)) continue
    const { publicKey } = await folder.make("user", seedFile(name))
    const user: User = { name, kind, keys: [publicKey], since: new Date().toISOString(), publish: [], hosts: [] }
    records.users.push(user)
    made.push(name)
  }
  return made
}

async function makeCredentials(folder: AuthFolder, records: Records, made: readonly string[]): Promise<void> {
  const { makeAccounts, writeCreds } = await import("./signed.js")
  await makeAccounts(folder, records)
  for (const user of records.users.filter(({ name }) => made.includes(name))) await writeCreds(folder, user)
}

function checkSame(folder: AuthFolder, { mesh, mode }: Records, wanted: { mesh: string; mode: string }): void {
  const why =
    mesh !== wanted.mesh
      ? `it holds those of mesh "${mesh}", not of "${wanted.mesh}"`
      : mode !== wanted.mode && wanted.mode === "jwt"
        ? `its users log in by nkey; accounts ${MESH_ACCOUNT} and ${SYSTEM_ACCOUNT} would have to be made anew`
        : undefined
  if (why === undefined) return
  throw new MurmurError(`Cannot make identities in "${folder.path}": ${why}. Name another folder with --dir`, {
    code: "AUTH_FOLDER",
  })
}
