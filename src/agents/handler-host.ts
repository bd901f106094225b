import { setMaxListeners } from "node:events"
import { setTimeout as delay } from "node:timers/promises"
import type { MurmurEvent } from "../bus/event.js"
import { type Delivery, Partition } from "../bus/partition.js"
import type { Receipt } from "../bus/receipt.js"
import { within } from "../bus/within.js"
import type { Log } from "../telemetry/ports.js"
import { burialPorts, bury } from "./burial.js"
import { crashPoint } from "./crash-points.js"
import { type Attempt, type GivenUp, letterEvent } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import {
  type AgentHost,
  AgentStats,
  agentLog,
  durableName,
  type HostPorts,
  heartbeat,
  inboxDurableName,
} from "./host.js"
import { IntakeGate } from "./intake.js"
import { Journal } from "./journal/journal.js"
import { KeyCount } from "./key-count.js"
import { Ledger } from "./ledger.js"
import { Mailbox } from "./mailbox.js"
import { originalOf } from "./original-event.js"
import { Quarantine } from "./quarantine.js"
import { judge } from "./retry.js"
import { openSessions, type SessionStore } from "./sessions/session-store.js"
import { StepRunner } from "./step.js"

/** One event in the mailbox. */
interface Task {
  readonly key: string | undefined
  readonly event: MurmurEvent
  readonly seq: number
  readonly ledger: Ledger<Task>
  /** Of the newest delivery of this event: the one to ack. */
  delivery: Receipt
  readonly since: number
  readonly storedAtMs: number
  /** Whether it came in stream order: what was sent to this agent alone did not. */
  readonly ordered: boolean
  /** The partition was lost since its newest delivery: another node may have done it by now. */
  lost: boolean
}

/** A partition and what this node knows about its messages. */
interface Lane {
  readonly partition: Partition
  readonly ledger: Ledger<Task>
}

/** No key can be this: NUL stands in no token that a key is decoded from. */
const KEYLESS_SESSION = "\u0000keyless"

/** Runs an agent with a `handle` on one node: partitions in, mailbox, steps, acks out. */
export class HandlerHost implements AgentHost {
  readonly stats = new AgentStats()
  readonly blocked = undefined
  readonly #gate: IntakeGate
  readonly #steps: StepRunner
  readonly #mailbox: Mailbox<Task>
  readonly #quarantine: Quarantine
  readonly #lanes: Lane[]
  readonly #inbox: Lane
  readonly #sessions: SessionStore | undefined
  /** In which lane events without a key stand: none for agents without state, which need no order there. */
  readonly #keyless: string | undefined
  readonly #keys = new KeyCount()
  readonly #stopping = new AbortController()
  readonly #log: Log
  #heartbeat: NodeJS.Timeout | undefined
  #inboxOpen = false

  constructor(
    readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: HostPorts,
  ) {
    this.#log = agentLog(ports.telemetry.log, agent.name)
    setMaxListeners(0, this.#stopping.signal) // each running step listens
    this.#gate = new IntakeGate(agent, ports.bus.names, ports.routing)
    this.#sessions = agent.state === undefined ? undefined : openSessions(ports.bus, agent.name, agent.state)
    this.#keyless = agent.state === undefined ? undefined : KEYLESS_SESSION
    const openJournal = (eventId: string): Promise<Journal> => Journal.open(ports.bus, agent.name, eventId)
    this.#steps = new StepRunner(agent, { ...ports, openJournal, sessions: this.#sessions }, this.stats)
    this.#mailbox = new Mailbox(agent.concurrency, (task) => this.#work(task))
    this.#quarantine = new Quarantine(agent, ports, this.#mailbox, this.#log)
    this.#lanes = Array.from({ length: agent.partitions }, (_, partition) =>
      this.#lane(durableName(agent.name, agent.partitions, partition)),
    )
    this.#inbox = this.#lane(inboxDurableName(agent.name))
  }

  get sessions(): number {
    return this.#keys.size
  }

  get inflight(): number {
    return this.#allLanes().reduce((sum, { ledger }) => sum + ledger.size, 0)
  }

  get active(): boolean {
    return this.#lanes.some(({ partition }) => partition.owned)
  }

  get quarantined(): boolean {
    return this.#quarantine.active
  }

  /** Hands it its events again at once, as many as it takes. Without effect when it is not quarantined. */
  endQuarantine(): void {
    this.#quarantine.end()
  }

  start(): void {
    this.#heartbeat ??= heartbeat(() => this.#unfinished())
    for (const { partition } of this.#lanes) partition.start()
    if (this.#inboxOpen) this.#inbox.partition.start()
  }

  /** Starts to pull what is sent to this agent alone. Its consumer is made when it is first needed. */
  openInbox(): void {
    this.#inboxOpen = true
    if (this.#heartbeat !== undefined) this.#inbox.partition.start()
  }

  async pause(): Promise<void> {
    await Promise.all(this.#allLanes().map(({ partition }) => partition.stop()))
  }

  async stop(graceMs: number): Promise<void> {
    this.#quarantine.stop() // first: closing the mailbox lets go of what it held back
    this.#mailbox.close()
    await this.pause()
    await within(graceMs, this.#mailbox.idle())
    this.#stopping.abort()
    clearInterval(this.#heartbeat)
    if (this.#mailbox.running === 0) await Promise.all(this.#allLanes().map(({ partition }) => partition.release()))
  }

  #allLanes(): Lane[] {
    return [...this.#lanes, this.#inbox]
  }

  *#unfinished(): Generator<Task> {
    for (const { ledger } of this.#allLanes()) yield* ledger.items()
  }

  #lane(durable: string): Lane {
    const ledger = new Ledger<Task>()
    const options = {
      stream: this.ports.bus.names.events,
      durable,
      batchMax: Math.min(500, this.agent.inflightMax),
      log: this.#log,
    }
    const partition = new Partition(this.ports.bus.link, options, {
      onOwned: (floor) => ledger.begin(floor),
      onLost: () => this.#withdraw(ledger),
      onDelivery: (delivery) => this.#receive(delivery, ledger),
    })
    return { partition, ledger }
  }

  /** What has not begun belongs to the next owner. */
  #withdraw(ledger: Ledger<Task>): void {
    this.#sessions?.forgetAll() // the next owner will write them
    this.#mailbox.withdraw(
      (task) => task.ledger === ledger,
      (task) => ledger.forget(task.seq),
    )
    for (const task of ledger.items()) task.lost = true
  }

  #receive(delivery: Delivery, ledger: Ledger<Task>): void {
    const seq = delivery.seq
    const known = ledger.get(seq)
    if (known !== undefined) {
      known.delivery = delivery.receipt()
      known.lost = false
      return
    }
    if (ledger.isDone(delivery)) {
      delivery.ack()
      return
    }
    const intake = this.#gate.admit(delivery, ledger === this.#inbox.ledger)
    if (intake.kind === "skip") {
      this.stats.skipped += 1
      ledger.skip(delivery)
      delivery.ack()
      return
    }
    crashPoint("P0")
    const event = intake.kind === "run" ? intake.event : undefined
    const key = event?.key ?? this.#keyless
    const ordered = ledger !== this.#inbox.ledger
    const storedAtMs = delivery.time.getTime()
    const receipt = delivery.receipt()
    const task = {
      key,
      event,
      seq,
      ledger,
      delivery: receipt,
      since: Date.now(),
      storedAtMs,
      ordered,
      lost: false,
    } as Task
    ledger.add(delivery, task)
    if (intake.kind === "dead") void this.#bury(intake.given).then(() => this.#finish(task))
    else this.#enqueue(task)
  }

  #enqueue(task: Task): void {
    const { metrics } = this.ports.telemetry
    if (metrics.enabled) metrics.count("murmur.events.received", 1, { agent: this.agent.name, type: task.event.type })
    this.#keys.add(task.event.key)
    this.#mailbox.push(task)
  }

  /** One event's step: attempts until it succeeds or is given up. Leaves the event unacked when the node stops. */
  async #work(task: Task): Promise<void> {
    const attempts: Attempt[] = []
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      const outcome = await this.#steps.attempt(task, attempt, this.#stopping.signal)
      if (outcome.ok) {
        this.stats.steps += 1
        this.#quarantine.succeeded()
        this.#finish(task)
        return
      }
      if (this.#stopping.signal.aborted) return
      attempts.push(outcome.attempt)
      this.stats.failures += 1
      this.#quarantine.failed(task.event.id, outcome.attempt)
      const verdict = judge(outcome.error, attempt, this.agent.retry, this.ports.random())
      if (verdict.next === "dead") {
        await this.#giveUp(task, verdict.reason, outcome.error, attempts)
        return
      }
      this.#noteRetry(task, outcome.error, attempt, verdict.delayMs)
      await this.#mailbox.pause(this.#wait(verdict.delayMs))
      if (this.#quarantine.left) return // whoever takes over tries it
      if (task.lost) {
        task.ledger.forget(task.seq)
        return
      }
    }
  }

  #noteRetry(task: Task, error: Error, attempt: number, delayMs: number): void {
    this.stats.retries += 1
    this.ports.telemetry.metrics.count("murmur.step.retries", 1, { agent: this.agent.name })
    this.#log.warn({ event: task.event.id, key: task.key, attempt, delayMs, error }, "a step failed; trying again")
  }

  async #giveUp(task: Task, reason: "failed" | "terminal", error: Error, attempts: Attempt[]): Promise<void> {
    const { key, trace } = task.event
    const event = letterEvent(await originalOf(task.event, this.ports))
    const letter = { agent: this.agent.name, reason, event, key, error, attempts }
    await this.#bury({ ...letter, traceparent: trace?.traceparent })
    this.#finish(task)
  }

  async #bury(given: GivenUp): Promise<void> {
    await bury(given, burialPorts({ ports: this.ports, stats: this.stats, log: this.#log }), this.#stopping.signal)
  }

  #finish(task: Task): void {
    if (this.#stopping.signal.aborted) return
    task.ledger.done(task.seq)
    task.delivery.ack()
    crashPoint("P9", 50)
  }

  #wait(ms: number): Promise<unknown> {
    return delay(ms, undefined, { signal: this.#stopping.signal }).catch(() => {})
  }
}
