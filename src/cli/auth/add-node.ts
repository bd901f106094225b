import { MeshNames } from "../../bus/subjects.js"
import { MurmurError } from "../../errors.js"
import { compileRights } from "../../node/rights/compile.js"
import { declarationFromCatalogue, declarationOf, type NodeDeclaration } from "../../node/rights/declaration.js"
import type { Cli } from "../cli.js"
import { AUTH_FOLDER, AuthFolder, INCLUDE, type Records, seedFile, type User } from "./folder.js"
import { writeInclude } from "./includes.js"
import { loginFile } from "./init.js"
import { type ReloadOptions, reload } from "./reload.js"
import { tell } from "./tell.js"

/** Options of `murmur auth add-node`. */
export interface AddNodeOptions extends ReloadOptions {
  dir?: string
  agents?: string
  http?: boolean
  expires?: number
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/**
 * `murmur auth add-node <name> [paths...]`: a user for a node, or for several that host the same, with the rights that
 * follow from what they host. Run again it brings the rights up to date and leaves the key alone.
 */
export async function authAddNode(
  cli: Cli,
  [name, paths]: [string, readonly string[]],
  options: AddNodeOptions,
): Promise<void> {
  const folder = new AuthFolder(options.dir ?? AUTH_FOLDER)
  const records = await folder.records()
  checkNode(records, name)
  const declaration = await declared(cli, paths, options)
  const { publish } = compileRights(new MeshNames(records.mesh), declaration)
  const hosts = [...declaration.agents, ...declaration.sources].map((one) => one.name)
  const login = loginFile(records, name)
  const changed = new Set<string>()
  let user = records.users.find((one) => one.name === name)
  if (user === undefined) {
    const { publicKey } = await folder.make("user", seedFile(name))
    user = { name, kind: "node", keys: [publicKey], since: new Date().toISOString(), publish: [], hosts: [] }
    records.users.push(user)
    changed.add(login)
  }
  Object.assign(user, { publish, hosts })
  if (records.mode === "jwt") {
    const { makeAccounts, writeCreds } = await import("./signed.js")
    await makeAccounts(folder, records)
    if (changed.has(login) || options.expires !== undefined) {
      await writeCreds(folder, user, expiry(options.expires))
      changed.add(login)
    }
  }
  await folder.save(records)
  if (await writeInclude(folder, records)) changed.add(INCLUDE)
  const hint = await reload(options, changed.has(INCLUDE))
  const more = { name, user: user.keys[0], hosts, rights: publish.length }
  await tell(cli, folder, { files: [login, INCLUDE], changed, hint, more })
}

/** When what is issued now expires, in seconds since 1970. */
export function expiry(hours: number | undefined): number | undefined {
  return hours === undefined ? undefined : Math.floor(Date.now() / 1_000) + hours * 3_600
}

function checkNode({ users }: Records, name: string): void {
  const taken: User | undefined = users.find((user) => user.name === name && user.kind !== "node")
  const why = !NAME.test(name)
    ? 'a name is 1 to 64 of a-z, 0-9, "_" and "-", and starts with a letter or digit'
    : taken !== undefined
      ? `that is the ${taken.kind}'s name`
      : undefined
  if (why === undefined) return
  throw new MurmurError(`Cannot add a node "${name}": ${why}`, { code: "AUTH_USER", details: { name } })
}

/** What the node is to host: what files declare, or what the catalogue of the mesh knows. */
export async function declared(
  cli: Cli,
  paths: readonly string[],
  { agents, http = false }: Pick<AddNodeOptions, "agents" | "http">,
): Promise<NodeDeclaration> {
  const names = agents?.split(",").map((name) => name.trim())
  const all = paths.length > 0 ? await fromFiles(paths) : await fromMesh(cli)
  const declaration =
    names === undefined
      ? all
      : only(
          all,
          names.filter((name) => name !== ""),
        )
  if (declaration.agents.length + declaration.sources.length > 0 || http) return { ...declaration, intake: http }
  throw new MurmurError(
    `Cannot compile rights: ${paths.length > 0 ? paths.join(", ") : "the mesh's catalogue"} has no agents and no sources${names === undefined ? "" : ` named ${names.join(", ")}`}`,
    { code: "AUTH_NOTHING" },
  )
}

async function fromFiles(paths: readonly string[]): Promise<NodeDeclaration> {
  const { Loader } = await import("../../node/loader.js")
  return declarationOf(await new Loader(paths).load())
}

async function fromMesh(cli: Cli): Promise<NodeDeclaration> {
  const { withMesh } = await import("../connect.js")
  const { CatalogueRecord, readAll } = await import("../../node/buckets.js")
  return withMesh(cli.options, async (bus) =>
    declarationFromCatalogue(await readAll(await bus.bucket("catalogue"), CatalogueRecord)),
  )
}

/** Those with these names; a `*` stands for any characters. @throws MurmurError `AGENT_UNKNOWN` */
function only(all: NodeDeclaration, names: readonly string[]): NodeDeclaration {
  const known = [...all.agents, ...all.sources].map(({ name }) => name)
  const fits = (pattern: string, name: string): boolean =>
    new RegExp(`^${pattern.replace(/[^a-z0-9_*-]/gi, "").replaceAll("*", ".*")}$`).test(name)
  const missing = names.filter((pattern) => !known.some((name) => fits(pattern, name)))
  if (missing.length > 0) {
    throw new MurmurError(`There is no agent or source "${missing.join('", "')}" (known: ${known.join(", ")})`, {
      code: "AGENT_UNKNOWN",
      details: { missing },
    })
  }
  const chosen = <T extends { readonly name: string }>(those: readonly T[]): T[] =>
    those.filter(({ name }) => names.some((pattern) => fits(pattern, name)))
  return { ...all, agents: chosen(all.agents), sources: chosen(all.sources) }
}
