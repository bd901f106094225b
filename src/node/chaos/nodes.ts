import { existsSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { MurmurError } from "../../errors.js"
import { readBill } from "./bill.js"
import type { Standstill } from "./calls.js"
import { billIn, NodeProcess, type NodeSetting } from "./node-process.js"
import type { Strike, Target } from "./plan.js"
import { waitUntil } from "./waits.js"

const IDS = ["chaos-1", "chaos-2"] as const
/** So long at most is waited for a node that can be struck: one that starts needs a second, one that stands still five. */
const STANDING_MS = 15_000
/** How often a node is started before it counts as broken, and what is waited in between. */
const STARTS_MAX = 5
const START_AGAIN_MS = 500

/** The nodes of the demonstration. Each is started again when it was killed. */
export class DemoNodes {
  kills = 0
  pauses = 0
  readonly standstills: Standstill[] = []
  /** What they did that nobody asked for. */
  readonly faults: string[] = []
  readonly #nodes = new Map<string, NodeProcess>()
  readonly #expected = new Set<NodeProcess>()
  readonly #recovering: Promise<unknown>[] = []

  constructor(
    private readonly setting: NodeSetting,
    private readonly say: (line: string) => void,
    private readonly signal: AbortSignal,
  ) {}

  async start(): Promise<void> {
    await Promise.all(IDS.map((id) => this.#startOne(id)))
  }

  /** Kills or stops a node, and sees to it that it comes back. */
  async strike(strike: Exclude<Strike, { what: "server" }>): Promise<void> {
    await waitUntil(() => this.#up().length > 0, STANDING_MS, this.signal)
    const node = this.#pick(strike.node)
    if (node === undefined) throw new MurmurError("No node came back to be struck", { code: "CHAOS_NODE" })
    this.#recover(strike.what === "kill" ? this.#kill(node, strike.backAfterMs) : this.#pause(node, strike.forMs))
  }

  /** Resolves when all that were struck are back. */
  async recovered(): Promise<void> {
    while (this.#recovering.length > 0) await this.#recovering.shift()
  }

  /** Asks all to leave, as an operator would. */
  async leave(): Promise<void> {
    await Promise.all(
      [...this.#nodes.values()].map(async (node) => {
        this.#expected.add(node)
        const how = await node.leave()
        if (how !== "exit code 0") this.faults.push(`${node.id} was asked to leave and ended with ${how}`)
      }),
    )
  }

  /** SIGKILL to whatever is left, also from within the end of this process. */
  killAll(): void {
    for (const node of this.#nodes.values()) {
      this.#expected.add(node)
      node.kill()
    }
  }

  /** Resolves when all processes are gone. */
  async gone(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.ended()))
  }

  async #kill(node: NodeProcess, backAfterMs: number): Promise<void> {
    this.kills += 1
    this.say(`SIGKILL to ${node.id} (pid ${node.pid})`)
    this.#expected.add(node)
    node.kill()
    await node.ended()
    await delay(backAfterMs, undefined, { signal: this.signal })
    await this.#startOne(node.id)
    this.say(`${node.id} is back`)
  }

  async #pause(node: NodeProcess, forMs: number): Promise<void> {
    this.pauses += 1
    this.say(`SIGSTOP to ${node.id} (pid ${node.pid}) for ${(forMs / 1_000).toFixed(1)} s`)
    const from = Date.now()
    node.stop(forMs)
    try {
      await delay(forMs, undefined, { signal: this.signal })
    } finally {
      this.standstills.push({ pid: node.pid, from, to: Date.now() })
      node.wake()
    }
    this.say(`SIGCONT to ${node.id}`)
  }

  /** As any supervisor would, it tries again: a node whose server is killed while it starts gives up. */
  async #startOne(id: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await NodeProcess.start(id, this.setting, (node) => this.#onSpawn(node))
        return
      } catch (error) {
        if (tries === STARTS_MAX || this.signal.aborted) throw error
        this.say(`${id} could not start; it is started again`)
        await delay(START_AGAIN_MS, undefined, { signal: this.signal })
      }
    }
  }

  #onSpawn(node: NodeProcess): void {
    this.#nodes.set(node.id, node)
    void node.ended().then((how) => this.#onEnd(node, how))
    if (this.signal.aborted) node.kill()
  }

  #onEnd(node: NodeProcess, how: string): void {
    if (this.#expected.has(node) || !node.wasUp) return
    this.faults.push(`${node.id} ended by itself with ${how}`)
    this.#recover(this.#startOne(node.id))
  }

  #recover(work: Promise<unknown>): void {
    work.catch(() => {}) // told to who waits
    this.#recovering.push(work)
  }

  #up(): NodeProcess[] {
    return [...this.#nodes.values()].filter(({ up }) => up)
  }

  /** A node that is up: the one that wrote the newest line of the bill, or one that did not, if there is such a one. */
  #pick(target: Target): NodeProcess | undefined {
    const up = this.#up()
    const file = billIn(this.setting.folder)
    const pids = existsSync(file) ? readBill(file).map(({ pid }) => pid) : []
    const working = up.find(({ pid }) => pid === pids.at(-1))
    return (target === "working" ? working : up.find((node) => node !== working)) ?? up[0]
  }
}
