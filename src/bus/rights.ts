import type { NatsConnection } from "@nats-io/transport-node"

/** What a user may publish to, as its server tells it. */
interface Permissions {
  readonly publish?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] }
}

const USER_INFO = "$SYS.REQ.USER.INFO"
const ANSWER_MS = 2_000

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

  /** Asks the server. Where it may not be asked, everything is tried. */
  static async of(connection: NatsConnection): Promise<Rights> {
    try {
      const reply = await connection.request(USER_INFO, "", { timeout: ANSWER_MS })
      const { data } = reply.json<{ data?: { user?: string; permissions?: Permissions } }>()
      return new Rights(data?.user ?? "", data?.permissions ?? {})
    } catch {
      return Rights.all
    }
  }

  /** Whether it may not make consumers, so that what it reads is asked for directly. */
  get restricted(): boolean {
    return !this.mayPublish("$JS.API.CONSUMER.CREATE.any.any.any")
  }

  /** Whether it may delete messages of a stream. */
  mayPurge(stream: string): boolean {
    return this.mayPublish(`$JS.API.STREAM.PURGE.${stream}`)
  }

  /** Whether it may publish to a subject, requests to the JetStream API included. */
  mayPublish(subject: string): boolean {
    const { allow, deny = [] } = this.permissions.publish ?? {}
    const fits = (pattern: string): boolean => fitsPattern(pattern, subject)
    return (allow === undefined || allow.length === 0 || allow.some(fits)) && !deny.some(fits)
  }
}

function fitsPattern(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".")
  const given = subject.split(".")
  for (const [at, token] of wanted.entries()) {
    if (token === ">") return given.length > at
    if (at >= given.length || (token !== "*" && token !== given[at])) return false
  }
  return wanted.length === given.length
}
