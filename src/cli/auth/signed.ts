import { type AccountClaims, signAccount, signOperator, signUser } from "../../bus/jwt.js"
import { importedName } from "../../bus/rights.js"
import { hasManyAnswers, isOfMesh, MESH_ACCOUNT, nodeAccount, SYSTEM_ACCOUNT } from "../../node/rights/server-config.js"
import { type AuthFolder, INCLUDE, type Records, seedFile, type User } from "./folder.js"

/** The seed of the operator, who signs accounts. */
const OPERATOR_SEED = "operator-jwt.nk"

/** The file with the credentials of a user. */
export function credsFile(user: string): string {
  return `${user}.creds`
}

/** Makes the keys of the operator and of the accounts that are not there yet. */
export async function makeAccounts(folder: AuthFolder, records: Records): Promise<void> {
  if ((await folder.read(OPERATOR_SEED)) === undefined) await folder.make("operator", OPERATOR_SEED)
  for (const name of accountNames(records)) {
    records.accounts[name] ??= (await folder.make("account", accountSeed(name))).publicKey
  }
}

/**
 * What servers include: the operator, and all accounts as it has signed them. What says the same as before is not signed
 * anew: a server does not take another operator without a restart.
 */
export async function signedConfig(folder: AuthFolder, records: Records): Promise<string> {
  const operator = await folder.seed(OPERATOR_SEED)
  const { accounts, mesh } = records
  const before = tokensIn((await folder.read(INCLUDE)) ?? "")
  const system = accounts[SYSTEM_ACCOUNT] ?? ""
  const tokens: string[] = []
  for (const name of accountNames(records)) {
    const token = await signAccount(claimsOf(records, name), operator)
    tokens.push(`  ${accounts[name]}: ${sameAsBefore(before, token)}`)
  }
  return [
    "# Written by murmur auth; changes are overwritten. Include it in the configuration of each server.",
    `operator: ${sameAsBefore(before, await signOperator(mesh, operator, system))}`,
    `system_account: ${system}`,
    "resolver: MEMORY",
    "resolver_preload: {",
    ...tokens,
    "}",
    "",
  ].join("\n")
}

/** The tokens in what was written before, by what they say. */
function tokensIn(text: string): ReadonlyMap<string, string> {
  return new Map((text.match(/\beyJ\S+/g) ?? []).map((token) => [meaningOf(token), token]))
}

function sameAsBefore(before: ReadonlyMap<string, string>, token: string): string {
  return before.get(meaningOf(token)) ?? token
}

/** What a token says, but for when it was signed. */
function meaningOf(token: string): string {
  const { sub, nats } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
  return JSON.stringify([sub, nats])
}

function claimsOf({ users, accounts, revoked }: Records, name: string): AccountClaims {
  const nodes = users.filter(({ kind }) => kind === "node")
  const shared = [...new Set(nodes.flatMap(({ publish }) => publish.filter(isOfMesh)))].sort()
  const node = nodes.find((user) => nodeAccount(user.name) === name)
  const mesh = accounts[MESH_ACCOUNT] ?? ""
  const imports = (node?.publish ?? []).filter(isOfMesh)
  return {
    ...{ name, account: accounts[name] ?? "", jetstream: name === MESH_ACCOUNT, revoked: revoked[name] ?? {} },
    exports: name === MESH_ACCOUNT ? shared.map((subject) => ({ subject, many: hasManyAnswers(subject) })) : [],
    rights: node && {
      publish: node.publish.map(importedName),
      subscribe: node.keys.map((key) => `_INBOX_${key}.>`),
    },
    imports: imports.map((subject) => ({ subject, account: mesh, local: importedName(subject) })),
  }
}

/** Writes the credentials of a user, by its newest key. @param expires in seconds since 1970 */
export async function writeCreds(folder: AuthFolder, user: User, expires?: number): Promise<void> {
  const seed = await folder.seed(seedFile(user.name))
  const accountSeedText = await folder.seed(accountSeed(accountOf(user)))
  const creds = await signUser({ name: user.name, seed, accountSeed: accountSeedText, expires })
  await folder.writeSecret(credsFile(user.name), creds)
}

/** Lets keys in no more: what was issued for them until now. */
export function dropKeys(records: Records, user: User, keys: readonly string[]): void {
  const now = Math.floor(Date.now() / 1_000)
  const account = accountOf(user)
  records.revoked[account] = { ...records.revoked[account], ...Object.fromEntries(keys.map((key) => [key, now])) }
}

/** The account that a user is in. */
export function accountOf({ kind, name }: User): string {
  if (kind === "system") return SYSTEM_ACCOUNT
  return kind === "node" ? nodeAccount(name) : MESH_ACCOUNT
}

/** Also those of nodes that are gone: in them it stands which keys are revoked. */
function accountNames({ users, revoked }: Records): string[] {
  const nodes = users.filter(({ kind }) => kind === "node").map(accountOf)
  return [...new Set([SYSTEM_ACCOUNT, MESH_ACCOUNT, ...nodes, ...Object.keys(revoked)])]
}

const accountSeed = (name: string): string => `account-${name}.nk`
