import { type NatsConnection, TimeoutError } from "@nats-io/transport-node"

/** What a user may publish to, as its server tells it. */
interface Permissions {
  readonly publish?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] }
}

/** Where a client asks what it may do. */
export const USER_INFO = "$SYS.REQ.USER.INFO"
/** The JetStream API, as the account that has the streams knows it. */
export const JS_API = "$JS.API"
/**
 * The JetStream API as a client in an account of its own knows it. Every account has a `$JS.API` of its own, so that of the
 * mesh's account is imported under another name.
 */
export const IMPORTED_API = "$MURMUR.API"
const ANSWER_MS = 2_000
/** A server that is busy answers late: what it did not say must not be taken for a right to everything. */
const TRIES_MAX = 5

/** The name by which a client in an account of its own publishes to a subject of the mesh's account. */
export function importedName(subject: string): string {
  if (subject.startsWith(`${JS_API}.`)) return IMPORTED_API + subject.slice(JS_API.length)
  return subject.startsWith("$KV.") ? `${IMPORTED_API}.${subject}` : subject // as the client's buckets do
}

/**
 * What this client may do. An operator may do anything; a node whose rights were compiled from what its agents declare may
 * neither make nor change streams and consumers, so what it needs was deployed before.
 */
export class Rights {
  private constructor(
    /** Its user, as the server knows it: a public nkey, a name; empty for nobody in particular. */
    readonly user: string,
    private readonly permissions: Permissions,
  ) {}

  /** Everything is allowed. */
  static readonly all = new Rights("", {})

  /** Under which name it asks the JetStream API: {@link IMPORTED_API} when it is in an account of its own. */
  get apiPrefix(): string {
    const allow = this.permissions.publish?.allow ?? []
    return allow.some((subject) => subject.startsWith(`${IMPORTED_API}.`)) ? IMPORTED_API : JS_API
  }

  /** Asks the server. Where it may not be asked, everything is tried. */
  static async of(connection: NatsConnection): Promise<Rights> {
    for (let tries = 1; ; tries++) {
      try {
        const reply = await connection.request(USER_INFO, "", { timeout: ANSWER_MS })
        const { data } = reply.json<{ data?: { user?: string; permissions?: Permissions } }>()
        return new Rights(data?.user ?? "", data?.permissions ?? {})
      } catch (error) {
        if (!(error instanceof TimeoutError) || tries === TRIES_MAX) return Rights.all
      }
    }
  }

  /** What it may publish to, by the names that it uses itself; `undefined` when that is not confined. */
  get publishes(): readonly string[] | undefined {
    return this.permissions.publish?.allow
  }

  /** Whether it may not make consumers, so that what it reads is asked for directly. */
  get restricted(): boolean {
    return !this.mayPublish("$JS.API.CONSUMER.CREATE.any.any.any")
  }

  /** Whether it may delete messages of a stream. */
  mayPurge(stream: string): boolean {
    return this.mayPublish(`$JS.API.STREAM.PURGE.${stream}`)
  }

  /** Whether it may publish to a subject of the mesh's account, requests to the JetStream API (`$JS.API`) included. */
  mayPublish(subject: string): boolean {
    const { allow, deny = [] } = this.permissions.publish ?? {}
    const local = this.apiPrefix === IMPORTED_API ? importedName(subject) : subject
    const fits = (pattern: string): boolean => fitsPattern(pattern, local)
    return (allow === undefined || allow.length === 0 || allow.some(fits)) && !deny.some(fits)
  }
}

/** Whether a subject fits a pattern with NATS wildcards. */
export function fitsPattern(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".")
  const given = subject.split(".")
  for (const [at, token] of wanted.entries()) {
    if (token === ">") return given.length > at
    if (at >= given.length || (token !== "*" && token !== given[at])) return false
  }
  return wanted.length === given.length
}
