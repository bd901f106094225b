import { setTimeout as delay } from "node:timers/promises"
import type { BusCore } from "../bus/bus-core.js"
import { MurmurError } from "../errors.js"
import { closest } from "../router/closest.js"
import { type MeshBuckets, openBuckets, PresenceRecord, readAll } from "./buckets.js"
import { type DrainWish, drainKey } from "./drain-wish.js"

/** How long is waited. */
export interface DrainOptions {
  /** How long the node may take to say that it has seen the wish, in milliseconds. Default 5_000. */
  readonly answerMs?: number
  /** How long it may take to leave then, in milliseconds. Default: ten seconds more than its grace period. */
  readonly leaveMs?: number
  /** Ends the waiting. The wish stays. */
  readonly signal?: AbortSignal
}

/** How a node left. */
export interface Drained {
  readonly node: string
  /** From the wish until the node was gone, in milliseconds. */
  readonly durationMs: number
  /** The agents that it hosted, and the nodes that host them now. */
  readonly agents: readonly { readonly name: string; readonly nodes: readonly string[] }[]
}

const SLACK_MS = 10_000
const POLL_MS = 100
/** A server that does not answer for so long may be gone; then what was told counts. */
const ASK_MS = 500

/**
 * Makes a node leave the mesh as on SIGTERM: it takes no new work, finishes what runs, gives its partitions back at once,
 * and its process ends. Resolves when it is gone.
 *
 * @throws MurmurError `NODE_UNKNOWN` with the names that are close; `DRAIN_NO_ANSWER` when it does not follow (the wish is
 *   taken back); `DRAIN_SLOW` when it follows and does not get done; `DRAIN_DIED` when it ended without saying so
 * @example
 * const { durationMs } = await drainNode(bus, "node-1")
 */
export async function drainNode(bus: BusCore, id: string, options: DrainOptions = {}): Promise<Drained> {
  const buckets = await openBuckets(bus)
  const nodes = await readAll(buckets.presence, PresenceRecord)
  const { since, agents, graceMs } = requireNode(id, nodes)
  const began = performance.now()
  await untilGone(buckets, { id, since }, { leaveMs: graceMs + SLACK_MS, ...options })
  const durationMs = Math.round(performance.now() - began)
  const staying = nodes.filter((node) => node.id !== id && !node.draining)
  const hosts = (name: string): string[] =>
    staying.filter((node) => node.agents.some((agent) => agent.name === name)).map((node) => node.id)
  return { node: id, durationMs, agents: agents.map(({ name }) => ({ name, nodes: hosts(name) })) }
}

/** One process of a node. */
interface NodeProcess {
  readonly id: string
  readonly since: string
}

/** Where a node that is drained stands: it has not seen the wish, it follows it, or it is gone. */
type Stand = "unaware" | "leaving" | "gone"

async function untilGone(
  buckets: MeshBuckets,
  node: NodeProcess,
  options: DrainOptions & { readonly leaveMs: number },
): Promise<void> {
  const { answerMs = 5_000, leaveMs, signal } = options
  const key = drainKey(node.id)
  const wish: DrainWish = { since: node.since, at: new Date().toISOString(), by: "cli" }
  await buckets.settings.put(key, wish)
  const sight = new Sight(buckets, node)
  try {
    if ((await sight.await(["leaving", "gone"], answerMs, signal)) === "unaware") {
      await buckets.settings.delete(key) // it must not leave later, when nobody expects it any more
      throw noAnswer(node.id, answerMs)
    }
    if ((await sight.await(["gone"], leaveMs, signal)) !== "gone") throw slow(node.id, leaveMs)
    if (await sight.followed()) return
    await buckets.settings.delete(key)
    throw died(node.id)
  } finally {
    sight.close()
  }
}

/**
 * Sees a node leave. It is told by the buckets at once: the server may go with the node, and answer nothing afterwards.
 * And it asks again and again, since what expires is not told.
 */
class Sight {
  readonly #closing = new AbortController()
  #told: Stand = "unaware"
  #wishTaken = false

  constructor(
    private readonly buckets: MeshBuckets,
    private readonly node: NodeProcess,
  ) {
    for (const watching of [this.#watchNode(), this.#watchWish()]) watching.catch(() => {}) // asking goes on without it
  }

  /** Waits for one of some stands. @returns the stand at the end, wanted or not */
  async await(wanted: readonly Stand[], forMs: number, signal: AbortSignal | undefined): Promise<Stand> {
    const deadline = performance.now() + forMs
    for (;;) {
      signal?.throwIfAborted()
      const stand = this.#told === "gone" ? "gone" : await this.#ask()
      if (wanted.includes(stand) || performance.now() > deadline) return stand
      await delay(POLL_MS, undefined, { signal }).catch(() => {})
    }
  }

  /** Whether the node, which is gone, has taken the wish away: it does that when it has followed it, and not before. */
  async followed(): Promise<boolean> {
    return this.#wishTaken || (await this.buckets.settings.get(drainKey(this.node.id))) === undefined
  }

  close(): void {
    this.#closing.abort()
  }

  async #ask(): Promise<Stand> {
    const asked = this.buckets.presence.get(this.node.id).then((entry) => standOf(entry?.value, this.node))
    const stand = await Promise.race([asked, delay(ASK_MS, this.#told)]).catch(() => this.#told)
    return this.#told === "gone" ? "gone" : stand
  }

  async #watchNode(): Promise<void> {
    const { signal } = this.#closing
    for await (const change of this.buckets.presence.watch({ signal, filter: this.node.id })) {
      if (!("synced" in change)) this.#told = standOf(change.value, this.node)
      if (this.#told === "gone") return
    }
  }

  async #watchWish(): Promise<void> {
    const { signal } = this.#closing
    for await (const change of this.buckets.settings.watch({ signal, filter: drainKey(this.node.id) })) {
      if (!("synced" in change)) this.#wishTaken = change.value === undefined
    }
  }
}

function standOf(value: unknown, { since }: NodeProcess): Stand {
  const record = PresenceRecord.safeParse(value)
  if (!record.success || record.data.since !== since) return "gone"
  return record.data.draining ? "leaving" : "unaware"
}

/** @throws MurmurError `NODE_UNKNOWN` */
function requireNode(id: string, nodes: readonly PresenceRecord[]): PresenceRecord {
  const found = nodes.find((node) => node.id === id)
  if (found !== undefined) return found
  const names = nodes.map((node) => node.id).sort()
  const close = closest(id, names)
  const quoted = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(", ")
  const hint =
    close.length > 0
      ? `did you mean ${quoted(close)}?`
      : names.length > 0
        ? `alive are ${quoted(names.slice(0, 10))}`
        : "no node is alive"
  throw new MurmurError(`There is no node "${id}": ${hint}`, { code: "NODE_UNKNOWN", details: { node: id, close } })
}

function noAnswer(id: string, answerMs: number): MurmurError {
  return new MurmurError(
    `Node "${id}" does not answer: it did not follow within ${answerMs / 1_000} s, so it was not drained and the wish is taken back. It hangs, is cut off, or is older than this command; end its process with SIGTERM`,
    { code: "DRAIN_NO_ANSWER", details: { node: id } },
  )
}

function slow(id: string, leaveMs: number): MurmurError {
  return new MurmurError(
    `Node "${id}" takes no new work, but was not gone ${leaveMs / 1_000} s later. It leaves when it can; what it holds goes to other nodes when its process ends`,
    { code: "DRAIN_SLOW", details: { node: id } },
  )
}

function died(id: string): MurmurError {
  return new MurmurError(
    `Node "${id}" is gone, but ended before it was drained. Nothing is lost: what it had begun is taken up by the nodes that take over`,
    { code: "DRAIN_DIED", details: { node: id } },
  )
}
