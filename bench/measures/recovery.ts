import { drainNode } from "../../src/node/drain.js"
import type { WorkerReady, WorkerTask } from "../children/worker.js"
import { type Child, startChild } from "../support/child.js"
import { followCommits } from "../support/commits.js"
import { Order, orderOf } from "../support/job.js"
import { type BenchMesh, createMesh } from "../support/mesh.js"
import { percentile } from "../support/stats.js"

/** From the moment at which the owner of a key ends to the next commit of that key, by the node that stood by. */
export interface Recovery {
  readonly runs: number
  /** After SIGKILL, in milliseconds. */
  readonly killed: Distribution
  /** After it was asked to stop, which gives the partition away. */
  readonly stopped: Distribution
  /** What bounds it: the server gives a pinned consumer to another node so long after its owner's last pull. */
  readonly priorityTimeoutMs: number
}

export interface Distribution {
  readonly min: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export interface RecoveryOptions {
  readonly url: string
  readonly runs: number
  readonly say: (line: string) => void
}

const PUBLISH_EVERY_MS = 20
const RECOVERY_MS_MAX = 60_000
/** Commits that the owner makes in peace before it ends: the other node has long been standing by. */
const PEACE = 100

export async function measureRecovery({ url, runs, say }: RecoveryOptions): Promise<Recovery> {
  const mesh = await createMesh(url)
  const scene = new Scene(mesh, url)
  try {
    await scene.start()
    const of = async (how: Ending): Promise<Distribution> => distribution(await scene.replaceOwners(how, runs, say))
    const info = await mesh.bus.link.manager.consumers.info(mesh.bus.names.events, "worker")
    const killed = await of("kill")
    return { runs, killed, stopped: await of("stop"), priorityTimeoutMs: timeoutOf(info.config) }
  } finally {
    await scene.stop()
    await mesh.remove()
  }
}

export function distribution(values: readonly number[]): Distribution {
  const at = (percent: number): number => percentile(values, percent)
  return { min: at(0), p50: at(50), p90: at(90), p99: at(99), max: at(100) }
}

/** The client's types do not say that it is there. */
function timeoutOf(config: object): number {
  return ((config as { priority_timeout?: number }).priority_timeout ?? Number.NaN) / 1e6
}

/** How the owner ends: by SIGKILL, by being asked as on SIGTERM, or by an operator who drains it. */
export type Ending = "kill" | "stop" | "drain"

/** Two nodes, one key, an order for it every few milliseconds. */
export class Scene {
  /** By their ids. */
  readonly #nodes = new Map<string, Child>()
  #owner = 0
  #commits = 0
  #wake: (() => void) | undefined
  #publishing: NodeJS.Timeout | undefined
  #endFollowing: (() => void) | undefined
  #n = 0

  constructor(
    private readonly mesh: BenchMesh,
    private readonly url: string,
  ) {}

  async start(): Promise<void> {
    await this.#addNode()
    await this.#addNode()
    this.#endFollowing = followCommits(this.mesh, "worker", ({ entries }) => {
      const [{ pid } = { pid: 0 }] = entries.map(({ data }) => data as { pid: number })
      this.#commits = pid === this.#owner ? this.#commits + 1 : 1
      this.#owner = pid
      this.#wake?.()
    })
    const { bus } = this.mesh
    this.#publishing = setInterval(
      () => void bus.publish(Order(orderOf(this.#n++, 1)), { producer: "feed" }),
      PUBLISH_EVERY_MS,
    )
  }

  /** Ends one owner after the other. @returns what each took, in milliseconds */
  async replaceOwners(how: Ending, runs: number, say: (line: string) => void): Promise<number[]> {
    const found: number[] = []
    for (let run = 1; run <= runs; run++) {
      const ms = await this.replaceOwner(how)
      found.push(ms)
      say(`  ${how} ${run}: ${Math.round(ms)} ms`)
    }
    return found
  }

  /** Ends the owner. @returns after how many milliseconds the next commit came from the other node */
  async replaceOwner(how: Ending): Promise<number> {
    await this.#until(() => this.#commits >= PEACE)
    const pid = this.#owner
    const [id, node] = [...this.#nodes].find(([, one]) => one.pid === pid) ?? []
    if (id === undefined || node === undefined) throw new Error(`no node has the process id ${pid}`)
    this.#nodes.delete(id)
    const began = performance.now()
    const ended = how === "kill" ? node.kill() : how === "stop" ? node.stop() : drainNode(this.mesh.bus, id)
    await this.#until(() => this.#owner !== pid)
    const ms = performance.now() - began
    await ended
    await this.#addNode()
    return ms
  }

  async stop(): Promise<void> {
    clearInterval(this.#publishing)
    this.#endFollowing?.()
    for (const node of this.#nodes.values()) await node.stop()
  }

  async #addNode(): Promise<void> {
    const task: WorkerTask = { url: this.url, mesh: this.mesh.name, concurrency: 64, callsFile: undefined }
    const child = startChild("worker", task)
    const { id } = await child.next<WorkerReady>()
    this.#nodes.set(id, child)
  }

  async #until(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + RECOVERY_MS_MAX
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`no other node took over within ${RECOVERY_MS_MAX} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}
