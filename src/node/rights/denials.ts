import type { BusCore, Denial } from "../../bus/bus-core.js"
import { ensureError } from "../../errors.js"
import type { Telemetry } from "../../telemetry/ports.js"

/** Published when the server does not let a node do something: by the agent or source that it is about. */
export const DENIED = "murmur.rights.denied"

/** One subject is told of so often at most. */
const AGAIN_MS = 60_000
/** Of so many subjects it is known when they were told of; beyond, nothing more is told for a while. */
const SUBJECTS_MAX = 1_000

/** What telling of denials needs of a node. */
export interface DenialPorts {
  readonly bus: Pick<BusCore, "names" | "publish" | "onDenied"> & {
    readonly link: { readonly rights: { readonly user: string } }
  }
  /** The node's id. */
  readonly node: string
  readonly telemetry: Telemetry
  /** Agents and sources that it hosts now. */
  owners(): readonly string[]
  /** Milliseconds that never go back. Default: the process's. */
  readonly steady?: () => number
}

/**
 * Makes an event of what the server denies: somebody should know when code wants more than its rights, and more so when it
 * is not the code that wants it. One event for a subject and minute, none about itself.
 */
export class Denials {
  readonly #told = new Map<string, number>()

  constructor(private readonly ports: DenialPorts) {}

  /** Tells of all that is denied from now on. */
  follow(): void {
    this.ports.bus.onDenied((denial) => void this.tell(denial))
  }

  /** @returns resolves when it is told, or cannot be */
  async tell({ operation, subject, cause }: Denial): Promise<void> {
    const { telemetry, node, bus } = this.ports
    const { user } = bus.link.rights
    const owner = this.#ownerOf(subject)
    telemetry.metrics.count("murmur.rights.denied", 1, { agent: owner ?? "none", operation })
    if (owner === undefined || subject.endsWith(`.${DENIED}`) || !this.#isNew(subject)) return
    const data = { agent: owner, node, user, operation, subject, cause: cause ?? null }
    try {
      await bus.publish({ type: DENIED, key: owner, data }, { producer: owner, trust: "internal", timeoutMs: AGAIN_MS })
    } catch (thrown) {
      telemetry.log.error({ subject, error: ensureError(thrown) }, "cannot tell that an operation was denied")
    }
  }

  /** Whom a subject is of, if the node hosts that; else the first that it hosts: nobody else may speak for the node. */
  #ownerOf(subject: string): string | undefined {
    const owners = this.ports.owners()
    const [mesh, , owner = ""] = subject.split(".")
    return mesh === this.ports.bus.names.mesh && owners.includes(owner) ? owner : owners[0]
  }

  #isNew(subject: string): boolean {
    const now = (this.ports.steady ?? performance.now.bind(performance))()
    for (const [known, at] of this.#told) if (now - at >= AGAIN_MS) this.#told.delete(known)
    if (this.#told.has(subject) || this.#told.size >= SUBJECTS_MAX) return false
    this.#told.set(subject, now)
    return true
  }
}
