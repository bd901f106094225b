import { importedName } from "../../bus/rights.js"

/** One user that logs in by nkey: its public keys, the newest first. Two while a key is rotated. */
export interface Identity {
  readonly name: string
  readonly keys: readonly string[]
}

/** The user of a node, or of several that share it. */
export interface NodeIdentity extends Identity {
  /** What it may publish to, as subjects of the mesh's account. */
  readonly publish: readonly string[]
}

/** Who may do what on the servers of a mesh. */
export interface Identities {
  /** Users of the system account: they see and steer the servers. */
  readonly system: readonly Identity[]
  /** Users of the mesh's account, with all rights in it: the deployer, operators. */
  readonly admins: readonly Identity[]
  readonly nodes: readonly NodeIdentity[]
}

/** The account that has the streams. */
export const MESH_ACCOUNT = "MURMUR"
export const SYSTEM_ACCOUNT = "SYS"

/** The account of a node. */
export function nodeAccount(name: string): string {
  return `NODE_${name}`
}

/** Requests that have more than one answer. */
export function hasManyAnswers(subject: string): boolean {
  return /^\$JS\.API\.(CONSUMER\.MSG\.NEXT|DIRECT\.GET)\./.test(subject)
}

/**
 * A part of a NATS server's configuration: accounts, users and what each may do.
 *
 * Every node has an account of its own, which imports the subjects that the node may publish to, and nothing else.
 * Permissions alone do not confine a client: the server publishes the answer to a request wherever the request's reply
 * subject says, without a look at what the client may publish to. (Shown on 2.15.1: with the right to read its own stream
 * directly, a client had the server send any payload to any subject of its account, `$JS.API.CONSUMER.CREATE` included.)
 * In an account of its own an answer can go to that account only.
 */
export function accountsConfig({ system, admins, nodes }: Identities): string {
  return [
    "# Written by murmur auth; changes are overwritten. Include it in the configuration of each server.",
    `system_account: ${SYSTEM_ACCOUNT}`,
    "accounts {",
    `  ${SYSTEM_ACCOUNT} {`,
    `    users: [${users(system)}]`,
    "  }",
    `  ${MESH_ACCOUNT} {`,
    "    jetstream: enabled",
    `    users: [${users(admins)}]`,
    "    exports: [",
    ...exportsOf(nodes),
    "    ]",
    "  }",
    ...nodes.flatMap(nodeLines),
    "}",
    "",
  ].join("\n")
}

function users(identities: readonly Identity[]): string {
  return identities.flatMap(({ keys }) => keys.map((key) => `{ nkey: ${key} }`)).join(", ")
}

function exportsOf(nodes: readonly NodeIdentity[]): string[] {
  const accounts = new Map<string, string[]>()
  for (const { name, publish } of nodes) {
    for (const subject of publish.filter(isOfMesh)) {
      accounts.set(subject, [...(accounts.get(subject) ?? []), nodeAccount(name)])
    }
  }
  return [...accounts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([subject, who]) => {
      const many = hasManyAnswers(subject) ? "response_type: stream, " : ""
      return `      { service: ${quote(subject)}, ${many}accounts: [${who.join(", ")}] }`
    })
}

function nodeLines({ name, keys, publish }: NodeIdentity): string[] {
  const allow = publish.map((subject) => `          ${quote(importedName(subject))}`)
  return [
    `  ${nodeAccount(name)} {`,
    "    users: [",
    ...keys.flatMap((key) => [
      `      { nkey: ${key}, permissions: {`,
      "        publish: { allow: [",
      ...allow,
      "        ] }",
      `        subscribe: { allow: [${quote(`_INBOX_${key}.>`)}] }`,
      "      } }",
    ]),
    "    ]",
    "    imports: [",
    ...publish.filter(isOfMesh).map((subject) => {
      const local = importedName(subject)
      const to = local === subject ? "" : `, to: ${quote(local)}`
      return `      { service: { account: ${MESH_ACCOUNT}, subject: ${quote(subject)} }${to} }`
    }),
    "    ]",
    "  }",
  ]
}

/** What the server itself answers is not imported. */
export function isOfMesh(subject: string): boolean {
  return !subject.startsWith("$SYS.")
}

const quote = (text: string): string => JSON.stringify(text)
