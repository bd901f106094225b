import { type BusCore, type BusOptions, openBusCore } from "../bus/bus-core.js"
import { streamInfo } from "../bus/streams.js"
import { checkName } from "../bus/subjects.js"
import { ensureError, isMurmurError, MurmurError } from "../errors.js"
import type { GlobalOptions } from "./cli.js"
import { checkedArgument } from "./usage.js"

/** How long a command waits for its first connection. */
const CONNECT_MS = 3_000
/** A command gives up when the connection is lost for so long. */
const LOST_MS = 5_000
/** Most commands are over in a moment: one that is not has met a server that does not answer. */
const DEADLINE_MS = 20_000
const CLOSE_MS = 500

/** How a command works with the mesh. */
export interface MeshUse<B> {
  /** Connects. Default: the light connection. */
  readonly open?: (options: BusOptions) => Promise<B>
  /** The command must be over by then, in milliseconds; `Infinity` for one that follows or moves much. Default 20_000. */
  readonly deadlineMs?: number
  /** Whether it survives a lost connection and goes on when it is back. Default false: it fails after five seconds. */
  readonly patient?: boolean
  /** Whether to look first if the mesh is there. Default true. */
  readonly check?: boolean
}

/** The state folder of the local mesh. */
export function stateFolder(): string {
  return process.env.MURMUR_DIR || ".murmur"
}

/**
 * Where the mesh's servers are.
 *
 * @throws MurmurError `MESH_NOT_RUNNING` when none was named and none runs here
 */
export async function serverUrl(options: GlobalOptions): Promise<string> {
  if (options.nats !== undefined) return options.nats
  const { findRunningServer } = await import("../bus/server/running.js")
  const running = await findRunningServer(stateFolder())
  if (running !== undefined) return running.url
  throw new MurmurError(
    `No mesh runs in this folder (looked into ${stateFolder()}). Start one with "murmur up", or name a server with --nats <url> or NATS_URL; MURMUR_DIR names another state folder`,
    { code: "MESH_NOT_RUNNING" },
  )
}

/**
 * Connects to the mesh, does the work, and closes the connection. Never hangs: the first connection, a lost one and the
 * work as a whole have bounds.
 *
 * @throws MurmurError `MESH_NOT_RUNNING`, `MESH_NOT_FOUND`, `BUS_CONNECT`, `BUS_UNAVAILABLE`, and what `work` throws
 */
export async function withMesh<T, B extends BusCore = BusCore>(
  options: GlobalOptions,
  work: (bus: B, signal: AbortSignal) => Promise<T>,
  use: MeshUse<B> = {},
): Promise<T> {
  checkedArgument(() => checkName(options.mesh, "mesh"))
  const open = use.open ?? (openBusCore as unknown as (options: BusOptions) => Promise<B>)
  const bus = await open({
    url: await serverUrl(options),
    name: "murmur cli",
    mesh: options.mesh,
    ...options.login,
    connectTimeoutMs: CONNECT_MS,
  })
  const bounds = new Bounds(bus, use)
  try {
    const run = async (): Promise<T> => {
      if (use.check !== false) await requireMesh(bus)
      return work(bus, bounds.signal)
    }
    return await Promise.race([run(), bounds.exceeded])
  } catch (thrown) {
    throw bounds.signal.aborted ? ensureError(bounds.signal.reason) : understandable(thrown)
  } finally {
    bounds.end()
    await Promise.race([bus.close(), new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())])
  }
}

/** @throws MurmurError `MESH_NOT_FOUND` when the server is there and the mesh is not */
export async function requireMesh(bus: BusCore): Promise<void> {
  if ((await streamInfo(bus.link.manager, bus.names.events)) !== undefined) return
  const others = await otherMeshes(bus).catch(() => [])
  const hint = others.length > 0 ? `; the server has ${others.map((name) => `"${name}"`).join(", ")} (--mesh)` : ""
  throw new MurmurError(
    `There is no mesh "${bus.names.mesh}" on this server: it has no stream ${bus.names.events}${hint}. "murmur up" makes one`,
    { code: "MESH_NOT_FOUND", details: { mesh: bus.names.mesh, others } },
  )
}

const SHOWN_MAX = 10

async function otherMeshes(bus: BusCore): Promise<string[]> {
  const names: string[] = []
  for await (const name of bus.link.manager.streams.names("*.ev.>")) {
    if (name.endsWith("_EVENTS")) names.push(name.slice(0, -"_EVENTS".length))
    if (names.length === SHOWN_MAX) break
  }
  return names
}

/** Ends the work when the server does not answer. */
class Bounds {
  readonly #controller = new AbortController()
  readonly #timers: NodeJS.Timeout[] = []
  readonly exceeded: Promise<never>

  constructor(
    bus: BusCore,
    { deadlineMs = DEADLINE_MS, patient = false }: Pick<MeshUse<never>, "deadlineMs" | "patient">,
  ) {
    this.exceeded = new Promise((_, reject) => {
      this.signal.addEventListener("abort", () => reject(this.signal.reason), { once: true })
    })
    this.exceeded.catch(() => {}) // nobody may be racing it any more
    const fail = (why: string): void =>
      this.#controller.abort(
        new MurmurError(`Gave up: ${why}. What was begun may have been done`, { code: "BUS_UNAVAILABLE" }),
      )
    if (Number.isFinite(deadlineMs)) {
      this.#timers.push(setTimeout(() => fail(`the server did not answer within ${deadlineMs / 1_000} s`), deadlineMs))
    }
    if (patient) return
    let lostSince = Number.POSITIVE_INFINITY
    const look = (): void => {
      lostSince = bus.connected ? Number.POSITIVE_INFINITY : Math.min(lostSince, Date.now())
      if (Date.now() - lostSince >= LOST_MS) fail(`the connection to NATS was lost for ${LOST_MS / 1_000} s`)
    }
    this.#timers.push(setInterval(look, 250))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  end(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }
}

/** The client's own errors say little; ours say what to do. */
function understandable(thrown: unknown): Error {
  const error = ensureError(thrown)
  if (isMurmurError(error)) return error
  if (!/timeout|norespond|closed|draining/i.test(error.name)) return error
  return new MurmurError(`NATS did not answer (${error.message || error.name}). Is the server up, with JetStream?`, {
    code: "BUS_UNAVAILABLE",
    cause: error,
  })
}
