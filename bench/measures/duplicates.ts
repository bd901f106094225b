import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { resetDurable } from "../../src/bus/consumers.js"
import { readHistory } from "../../src/bus/reader.js"
import { type NatsProxy, startNatsProxy } from "../../test/chaos/support/nats-proxy.js"
import { seeded } from "../../test/chaos/support/seeded.js"
import type { WorkerTask } from "../children/worker.js"
import { type Child, startChild } from "../support/child.js"
import { causesOf } from "../support/commits.js"
import { ackSwallower, countFaults, type Faults, noFaults } from "../support/faults.js"
import { Order, orderOf } from "../support/job.js"
import { type BenchMesh, createMesh } from "../support/mesh.js"

/** What was done to a node while it worked, and what was done twice, or not at all, because of it. */
export interface Duplicates {
  readonly events: number
  readonly seconds: number
  readonly faults: Faults
  /** Commits of an event beyond its first. */
  readonly commits: number
  /** Outputs stored beyond the first of their id. */
  readonly outputs: number
  /** Paid calls beyond the first of an event. */
  readonly calls: number
  /** Events without a commit. */
  readonly lost: number
}

export interface DuplicatesOptions {
  readonly url: string
  readonly serverPort: number
  /** How many faults are injected at least. */
  readonly faults: number
  readonly say: (line: string) => void
}

const KEYS = 1_000
const BATCH = 500
const SHARE_OF_ACKS = 0.2
const BREAK_EVERY_MS = 2_000
const RESET_EVERY_MS = 2_500
const SETTLE_MS_MAX = 120_000
const SEED = 20

export async function measureDuplicates(options: DuplicatesOptions): Promise<Duplicates> {
  const mesh = await createMesh(options.url)
  const dir = mkdtempSync(join(tmpdir(), "murmur-bench-"))
  const scene = new Scene(mesh, join(dir, "calls.txt"))
  try {
    await scene.start(options)
    const found = await scene.run(options.faults)
    const { commits, outputs, calls, lost } = found
    options.say(`  ${countFaults(found.faults)} faults: ${Object.entries(found.faults).flat().join(" ")}`)
    options.say(`  ${found.events} events: again ${commits} commits, ${outputs} outputs, ${calls} calls; ${lost} lost`)
    return found
  } finally {
    await scene.stop()
    await mesh.remove()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** One node behind a proxy, orders that come in, and faults all the while. */
class Scene {
  readonly #faults = noFaults()
  readonly #orders: string[] = []
  #proxy: NatsProxy | undefined
  #node: Child | undefined

  constructor(
    private readonly mesh: BenchMesh,
    private readonly callsFile: string,
  ) {
    writeFileSync(callsFile, "")
  }

  async start({ serverPort }: DuplicatesOptions): Promise<void> {
    this.#proxy = await startNatsProxy(serverPort)
    const { url } = this.#proxy
    const task: WorkerTask = { url, mesh: this.mesh.name, concurrency: 512, callsFile: this.callsFile }
    this.#node = startChild("worker", task)
    await this.#node.next() // ready
  }

  async run(wanted: number): Promise<Duplicates> {
    const { names } = this.mesh.bus
    const streams = [names.events, names.sessionsOf("any"), names.stepsOf("any")]
    const began = performance.now()
    this.#proxy?.judge(ackSwallower(streams, SHARE_OF_ACKS, seeded(SEED), this.#faults))
    const disturbing = new AbortController()
    const disturbed = Promise.all([this.#breakConnections(disturbing.signal), this.#reset(disturbing.signal)])
    while (countFaults(this.#faults) < wanted) {
      await this.#publish()
      await this.#untilCommitted(this.#orders.length - 2 * BATCH)
      await this.#storeAgain()
    }
    disturbing.abort()
    await disturbed
    this.#proxy?.judge(undefined)
    this.#proxy?.breakAll()
    await this.#untilCommitted(this.#orders.length)
    await this.#untilDrained()
    return this.#count((performance.now() - began) / 1_000)
  }

  async stop(): Promise<void> {
    await this.#node?.stop()
    await this.#proxy?.close()
  }

  async #publish(): Promise<void> {
    const from = this.#orders.length
    const drafts = Array.from({ length: BATCH }, (_, n) => Order(orderOf(from + n, KEYS)))
    for await (const { id } of this.mesh.bus.publishMany(drafts, { producer: "feed" })) this.#orders.push(id)
  }

  /** Half of the newest batch but one. */
  async #storeAgain(): Promise<void> {
    const { bus } = this.mesh
    const again = new Set(this.#orders.slice(-2 * BATCH, -BATCH).filter((_, n) => n % 2 === 0))
    const read = { stream: bus.names.events, filter: bus.names.storedFilter("bench.order"), from: { seq: 1 } }
    for await (const message of readHistory(bus.link, read)) {
      if (!again.delete(message.header("Nats-Msg-Id") ?? "")) continue
      const { producer, key, type } = bus.names.parseStored(message.subject)
      bus.link.connection.publish(bus.names.publishSubject(producer, key, type), message.data)
      this.#faults.storedAgain += 1
    }
    await bus.link.connection.flush()
  }

  async #breakConnections(ending: AbortSignal): Promise<void> {
    while (await sleeps(BREAK_EVERY_MS, ending)) this.#faults.brokenConnections += this.#proxy?.breakAll() ?? 0
  }

  /** All that is delivered and not acked yet is delivered again. */
  async #reset(ending: AbortSignal): Promise<void> {
    const { link, names } = this.mesh.bus
    while (await sleeps(RESET_EVERY_MS, ending)) await resetDurable(link, names.events, "worker").catch(() => {})
  }

  async #untilCommitted(count: number): Promise<void> {
    await waitUntil(async () => (await this.mesh.results()) >= count)
  }

  async #untilDrained(): Promise<void> {
    const { link, names } = this.mesh.bus
    await waitUntil(async () => {
      const { num_pending, num_ack_pending } = await link.manager.consumers.info(names.events, "worker")
      return num_pending + num_ack_pending === 0
    })
  }

  async #count(seconds: number): Promise<Duplicates> {
    const causes = await causesOf(this.mesh, "worker")
    const calls = readFileSync(this.callsFile, "utf8").split("\n").slice(0, -1)
    const committed = new Set(causes)
    return {
      events: this.#orders.length,
      seconds,
      faults: this.#faults,
      commits: causes.length - committed.size,
      outputs: (await this.mesh.results()) - this.#orders.length,
      calls: calls.length - new Set(calls).size,
      lost: this.#orders.filter((id) => !committed.has(id)).length,
    }
  }
}

/** @returns whether it was not ended meanwhile */
async function sleeps(ms: number, ending: AbortSignal): Promise<boolean> {
  await delay(ms, undefined, { signal: ending }).catch(() => {})
  return !ending.aborted
}

/** Waits until something holds, or for long enough: what never comes is counted as lost. */
async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + SETTLE_MS_MAX
  while (Date.now() < deadline && !(await holds())) await delay(50)
}
