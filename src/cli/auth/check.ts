import { type BusCore, openBusCore } from "../../bus/bus-core.js"
import { durableInfo } from "../../bus/consumers.js"
import { importedName } from "../../bus/rights.js"
import { streamInfo } from "../../bus/streams.js"
import { MeshNames } from "../../bus/subjects.js"
import { ensureError, MurmurError } from "../../errors.js"
import { compileRights } from "../../node/rights/compile.js"
import type { Cli } from "../cli.js"
import { serverUrl } from "../connect.js"
import { type AddNodeOptions, declared } from "./add-node.js"
import { AUTH_FOLDER, AuthFolder, type Records, type User, userOf } from "./folder.js"
import { loginFile } from "./init.js"

const CONNECT_MS = 3_000

/** What stands between a user and its work. */
interface Finding {
  readonly user: string
  readonly ok: boolean
  /** What it needs, and the server does not let it do. */
  readonly missing: readonly string[]
  /** What the server lets it do, and it does not need. */
  readonly extra: readonly string[]
  /** What it uses, and nobody has deployed. */
  readonly undeployed: readonly string[]
  readonly detail: string
}

/**
 * `murmur auth check [name] [paths...]`: logs in as each node and compares what it may do with what it needs.
 *
 * @throws MurmurError `AUTH_DIFFERS` after it has told how
 */
export async function authCheck(
  cli: Cli,
  [name, paths]: [string | undefined, readonly string[]],
  options: Pick<AddNodeOptions, "dir" | "agents" | "http">,
): Promise<void> {
  const folder = new AuthFolder(options.dir ?? AUTH_FOLDER)
  const records = await folder.records()
  const users = name === undefined ? records.users.filter(({ kind }) => kind === "node") : [userOf(records, name)]
  const needed = paths.length === 0 ? undefined : await neededBy(cli, records, paths, options)
  const findings: Finding[] = []
  for (const user of users) findings.push(await check(cli, folder, { records, user, needed }))
  await (cli.options.json ? cli.out.json(findings) : print(cli, findings))
  const wrong = findings.filter(({ ok }) => !ok)
  if (wrong.length === 0) return
  throw new MurmurError(`Rights are not as they should be of: ${wrong.map(({ user }) => user).join(", ")}`, {
    code: "AUTH_DIFFERS",
  })
}

async function print(cli: Cli, findings: readonly Finding[]): Promise<void> {
  const rows = findings.map(({ user, ok, detail }) => [user, ok ? "ok" : "differs", detail])
  await cli.out.table(["user", "", "detail"], rows)
  for (const finding of findings) await show(cli, finding)
}

async function neededBy(
  cli: Cli,
  { mesh }: Records,
  paths: readonly string[],
  options: Pick<AddNodeOptions, "agents" | "http">,
): Promise<readonly string[]> {
  return compileRights(new MeshNames(mesh), await declared(cli, paths, options)).publish
}

interface Checked {
  readonly records: Records
  readonly user: User
  readonly needed: readonly string[] | undefined
}

async function check(cli: Cli, folder: AuthFolder, { records, user, needed }: Checked): Promise<Finding> {
  const file = folder.file(loginFile(records, user.name))
  const login = records.mode === "jwt" ? { credsFile: file } : { nkeyFile: file }
  const { caFile, certFile, keyFile } = cli.options.login
  const nothing = { user: user.name, missing: [], extra: [], undeployed: [] }
  let bus: BusCore
  try {
    const url = await serverUrl(cli.options)
    const how = { ...login, caFile, certFile, keyFile, connectTimeoutMs: CONNECT_MS }
    bus = await openBusCore({ url, name: "murmur auth check", mesh: records.mesh, ...how })
  } catch (thrown) {
    return { ...nothing, ok: false, detail: ensureError(thrown).message }
  }
  try {
    const wanted = (needed ?? user.publish).map(importedName)
    const allowed = bus.link.rights.publishes
    const extra = allowed === undefined ? [">"] : allowed.filter((subject) => !wanted.includes(subject))
    const missing = wanted.filter((subject) => allowed !== undefined && !allowed.includes(subject))
    const isNode = user.kind === "node"
    const undeployed = isNode && missing.length === 0 ? await whatIsNotThere(bus, user.publish) : []
    const ok = !isNode || missing.length + extra.length + undeployed.length === 0
    return {
      user: user.name,
      ok,
      missing,
      extra: isNode ? extra : [],
      undeployed,
      detail: detailOf(user, { missing, extra, undeployed }),
    }
  } finally {
    await bus.close()
  }
}

function detailOf(
  { kind, name }: User,
  { missing, extra, undeployed }: Pick<Finding, "missing" | "extra" | "undeployed">,
): string {
  if (kind !== "node") return "is let in"
  const parts = [
    missing.length > 0 && `lacks ${missing.length} rights`,
    extra.length > 0 && `has ${extra.length} rights too many`,
    missing.length + extra.length > 0 && `"murmur auth add-node ${name} ..." and reload the servers`,
    undeployed.length > 0 && `${undeployed.length} things are not deployed: "murmur deploy"`,
  ].filter((part) => part !== false)
  return parts.join("; ") || "as it should be"
}

/** Consumers and buckets that it has rights to, and that are not there. */
async function whatIsNotThere({ link }: BusCore, publish: readonly string[]): Promise<string[]> {
  const missing: string[] = []
  for (const subject of publish) {
    const [, stream, durable] = /^\$JS\.API\.CONSUMER\.INFO\.([^.]+)\.(.+)$/.exec(subject) ?? []
    if (stream !== undefined && durable !== undefined && !(await isThere(() => durableInfo(link, stream, durable)))) {
      missing.push(`consumer "${durable}" on ${stream}`)
    }
    const bucket = /^\$JS\.API\.STREAM\.INFO\.(.+)$/.exec(subject)?.[1]
    if (bucket !== undefined && !(await isThere(() => streamInfo(link.manager, bucket))))
      missing.push(`stream ${bucket}`)
  }
  return missing
}

/** Of a stream that is not there the server says so with an error of its own. */
async function isThere(ask: () => Promise<unknown>): Promise<boolean> {
  return (await ask().catch(() => undefined)) !== undefined
}

async function show(cli: Cli, { user, missing, extra, undeployed }: Finding): Promise<void> {
  for (const subject of missing) await cli.out.line(`${user}: may not publish to ${subject}, and needs it`)
  for (const subject of extra) await cli.out.line(`${user}: may publish to ${subject}, and does not need it`)
  for (const what of undeployed) await cli.out.line(`${user}: there is no ${what}`)
}
