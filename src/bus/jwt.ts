import { encodeAccount, encodeOperator, encodeUser, fmtCreds, fromSeed } from "@nats-io/jwt"

/** A subject that an account lets others publish to. */
export interface SharedService {
  readonly subject: string
  /** Whether a request has more than one answer. */
  readonly many: boolean
}

/** A subject of another account that clients of this one may publish to. */
export interface ImportedService {
  readonly subject: string
  /** Public key of the account that has it. */
  readonly account: string
  /** How it is called here. */
  readonly local: string
}

/** What an account is to be. */
export interface AccountClaims {
  readonly name: string
  /** Public key. */
  readonly account: string
  readonly jetstream: boolean
  readonly exports: readonly SharedService[]
  readonly imports: readonly ImportedService[]
  /**
   * What its users may publish and subscribe to; `undefined` for everything. It stands here and not in a user's own claims,
   * since a client sends those in one line, and servers take lines of 4 KiB.
   */
  readonly rights: { readonly publish: readonly string[]; readonly subscribe: readonly string[] } | undefined
  /** Users that are not let in any more: what was issued before, in seconds since 1970. */
  readonly revoked: Readonly<Record<string, number>>
}

const UNLIMITED = -1
const JETSTREAM = {
  ...{ mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED, consumer: UNLIMITED },
  max_ack_pending: UNLIMITED,
}
const LIMITS = {
  ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED },
  ...{ imports: UNLIMITED, exports: UNLIMITED, wildcards: true, conn: UNLIMITED, leaf: 0 },
}

/** The operator's own claims. @param seed the operator's */
export function signOperator(name: string, seed: string, systemAccount: string): Promise<string> {
  return encodeOperator(name, seed, { system_account: systemAccount })
}

/** An account's claims. @param operatorSeed signs them */
export function signAccount(claims: AccountClaims, operatorSeed: string): Promise<string> {
  const { name, account, jetstream, exports, imports, rights, revoked } = claims
  return encodeAccount(
    name,
    account,
    {
      limits: jetstream ? { ...LIMITS, ...JETSTREAM } : LIMITS,
      exports: exports.map(({ subject, many }) => ({
        ...{ name: subject, subject, type: "service" as const },
        response_type: many ? ("Stream" as const) : ("Singleton" as const),
      })),
      imports: imports.map(({ subject, account: from, local }) => ({
        ...{ name: subject, subject, account: from, type: "service" as const },
        ...(local !== subject && { local_subject: local }),
      })),
      ...(rights !== undefined && {
        default_permissions: { pub: { allow: [...rights.publish] }, sub: { allow: [...rights.subscribe] } },
      }),
      ...(Object.keys(revoked).length > 0 && { revocations: { ...revoked } }),
    },
    { signer: operatorSeed },
  )
}

/** What a user is to be. */
export interface UserClaims {
  readonly name: string
  /** The user's own. */
  readonly seed: string
  /** Of its account. */
  readonly accountSeed: string
  /** When it expires, in seconds since 1970; `undefined` for never. */
  readonly expires?: number | undefined
}

/** A credentials file of a user: its claims, signed by its account, and its seed. */
export async function signUser({ name, seed, accountSeed, expires }: UserClaims): Promise<string> {
  const limits = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED }
  const pair = fromSeed(Buffer.from(seed))
  const options = expires === undefined ? {} : { exp: expires }
  const token = await encodeUser(name, pair, accountSeed, limits, options)
  return Buffer.from(fmtCreds(token, pair)).toString()
}
