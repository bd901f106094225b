import { USER_INFO } from "../../bus/rights.js"
import { MurmurError } from "../../errors.js"
import type { CompiledRights } from "./compile.js"
import type { NodeDeclaration } from "./declaration.js"

/** Requests to the JetStream API that a node may make: none of them makes, changes or removes a stream or a consumer. */
const API = /^\$JS\.API\.(CONSUMER\.(INFO|MSG\.NEXT|RESET|UNPIN)|STREAM\.(INFO|MSG\.GET|PURGE)|DIRECT\.GET)\.(.+)$/
/** What only operators write. */
const OPERATORS = ["settings", "routes", "catalogue"]

/**
 * Refuses rights that no node may have, whatever made them: so a mistake in what compiles them shows before a server has
 * them.
 *
 * @throws MurmurError `RIGHTS_REFUSED` with the subject
 */
export function checkRights(mesh: string, declaration: NodeDeclaration, { publish, subscribe }: CompiledRights): void {
  const rules = new Rules(mesh, declaration)
  for (const subject of publish) {
    const why = rules.against(subject)
    if (why !== undefined) throw refused("publish to", subject, why)
  }
  for (const subject of subscribe) {
    if (!/^_INBOX_U[A-Z2-7]{55}\.>$/.test(subject)) {
      throw refused("subscribe to", subject, "a node reads its own replies and nothing else")
    }
  }
}

class Rules {
  readonly #producers: ReadonlySet<string>
  readonly #agents: ReadonlySet<string>
  readonly #owners: ReadonlySet<string>

  constructor(
    private readonly mesh: string,
    { agents, sources, intake }: NodeDeclaration,
  ) {
    const own = [...agents, ...sources].map(({ name }) => name)
    this.#agents = new Set(agents.map(({ name }) => name))
    this.#owners = new Set(own)
    this.#producers = new Set([...own, "murmur", ...(intake === true ? ["http"] : [])])
  }

  /** Why a node may not publish there; `undefined` when it may. */
  against(subject: string): string | undefined {
    const tokens = subject.split(".")
    if (tokens.some((token) => token === "" || /[*>]/.test(token.length > 1 ? token : ""))) {
      return "it is no subject: wildcards are whole tokens"
    }
    if (tokens.slice(0, 2).some((token) => token === "*" || token === ">")) return "a wildcard stands at its beginning"
    if (subject === USER_INFO) return undefined
    if (subject.startsWith("$JS.API.")) return this.#againstRequest(subject)
    if (tokens[0] === "$JS")
      return tokens[1] === "ACK" && isFixed(tokens, 4) ? undefined : "it is not one consumer's acks"
    if (tokens[0] === "$KV") return this.#againstWrite(tokens)
    if (tokens[0] === "$O") return tokens[1] === `${this.mesh}_ARTIFACTS` ? undefined : "it is another mesh's store"
    if (tokens[0] !== this.mesh) return "it is not a subject of this mesh"
    return this.#againstPublish(tokens)
  }

  #againstRequest(subject: string): string | undefined {
    const [, request = "", , , about = ""] = API.exec(subject) ?? []
    if (request === "") return "it makes, changes, removes or lists streams or consumers"
    const [stream = "", ...rest] = about.split(".")
    if (!stream.includes(`${this.mesh}_`)) return "it is about a stream of another mesh"
    if (request.startsWith("CONSUMER.") && !isFixed(rest, 1)) return "it is not about one consumer"
    const log = /_(?:SESSIONS|STEPS)_(.+)$/.exec(stream)?.[1]
    if (log !== undefined && !this.#agents.has(log)) return `it reads what is agent "${log}"'s own`
    return request === "STREAM.PURGE" && !stream.includes("_SESSIONS_")
      ? "it deletes what is not a session log"
      : undefined
  }

  #againstWrite([, bucket = ""]: readonly string[]): string | undefined {
    if (!bucket.startsWith(`${this.mesh}_`)) return "it is a bucket of another mesh"
    return OPERATORS.includes(bucket.slice(this.mesh.length + 1)) ? "only operators write that bucket" : undefined
  }

  #againstPublish([, kind = "", owner = "", ...rest]: readonly string[]): string | undefined {
    if (kind === "budget") return undefined
    if (kind === "usage") return owner === "*" || owner === ">" ? "it is everybody's account" : undefined
    if (kind === "ev") {
      if (!this.#producers.has(owner)) return `"${owner}" is no producer of this node`
      return owner === "murmur" && rest[1] !== "murmur" ? "murmur's own events have types of murmur" : undefined
    }
    if (!["ses", "step", "dead", "timer"].includes(kind)) return `a node publishes nothing to "${kind}"`
    return this.#owners.has(owner) ? undefined : `"${owner}" is not hosted there`
  }
}

/** Whether the first tokens are there, and none of them is a wildcard. */
function isFixed(tokens: readonly string[], count: number): boolean {
  return tokens.length >= count && tokens.slice(0, count).every((token) => token !== "*" && token !== ">")
}

function refused(what: string, subject: string, why: string): MurmurError {
  return new MurmurError(`Cannot give a node the right to ${what} "${subject}": ${why}`, {
    code: "RIGHTS_REFUSED",
    details: { subject },
  })
}
