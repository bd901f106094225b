import { setMaxListeners } from "node:events"
import type { MurmurEvent } from "../bus/event.js"
import type { Receipt } from "../bus/receipt.js"
import type { Delivery } from "../bus/tenure.js"
import type { Log } from "../telemetry/ports.js"
import { burialPorts, bury } from "./burial.js"
import { waitAtMost } from "./clock.js"
import { crashPoint } from "./crash-points.js"
import type { GivenUp } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { type Caution, Feed, type FeedHandler } from "./feed.js"
import {
  ACK_WAIT_MS,
  type AgentHost,
  AgentStats,
  agentLog,
  eventDurables,
  heartbeat,
  inboxDurableName,
  SHARED_ACK_WAIT_MS,
} from "./host.js"
import { type Intake, IntakeGate } from "./intake.js"
import { type IsolatedHandler, inWorkers, isolate } from "./isolation/isolate.js"
import { Journal } from "./journal/journal.js"
import { journalSubject } from "./journal/records.js"
import { KeyCount } from "./key-count.js"
import { Mailbox } from "./mailbox.js"
import { originalOf } from "./original-event.js"
import type { HandlerPorts } from "./ports.js"
import { type Holdable, Quarantine } from "./quarantine.js"
import { Revival } from "./revival.js"
import { openSessions, type SessionStore } from "./sessions/session-store.js"
import { StepRunner } from "./step.js"
import { StepWorker, type Work } from "./step-worker.js"
import { TenureMark, tenureSubject } from "./tenure-mark.js"

/** One event in the mailbox. */
interface Task extends Work {
  readonly feed: Feed<Task>
  /** Of the newest delivery of this event: the one to ack. */
  delivery: Receipt
  readonly since: number
  lost: boolean
}

/** No key can be this: NUL stands in no token that a key is decoded from. */
const KEYLESS_SESSION = "\u0000keyless"
const INBOX_BATCH_MAX = 100
/** What a node that may not take it hands back, goes to another only when it does not ask for more itself. */
const NOT_HERE_MS = 1_000
/** What is written down when the node stops has this long. */
const LAST_WORDS_MS = 1_000

/** Runs an agent with a `handle` on one node: partitions in, mailbox, steps, acks out. */
export class HandlerHost implements AgentHost, FeedHandler<Task> {
  readonly stats = new AgentStats()
  readonly blocked = undefined
  readonly #gate: IntakeGate
  readonly #worker: StepWorker
  readonly #mailbox: Mailbox<Task>
  readonly #quarantine: Quarantine
  readonly #events: readonly Feed<Task>[]
  readonly #inboxes: readonly Feed<Task>[]
  readonly #marks: readonly TenureMark[]
  readonly #sessions: SessionStore | undefined
  /** The workers that run its steps, when it is isolated. */
  readonly #isolated: IsolatedHandler | undefined
  /** Under which key events without one stand: none for agents without state, which need no order there. */
  readonly #keyless: string | undefined
  readonly #keys = new KeyCount()
  readonly #stopping = new AbortController()
  readonly #log: Log
  #endHeartbeat: (() => void) | undefined
  #inboxOpen = false
  /** Partitions that are this node's, also while it is still preparing itself for them. */
  readonly #held = new Set<number>()
  /** Partitions that are on their way to another node: nothing begins them anew before they are let go. */
  readonly #handing = new Set<number>()
  #started = false

  constructor(
    readonly agent: AgentDefinition & { behaviour: { kind: "handle" } },
    private readonly ports: HandlerPorts,
  ) {
    const { name, state, partitions } = agent
    const { names, clock, logs, deadLetters } = ports
    this.#log = agentLog(ports.telemetry.log, name)
    setMaxListeners(0, this.#stopping.signal) // each running step listens
    this.#gate = new IntakeGate(agent, names, ports.routing)
    this.#sessions = state === undefined ? undefined : openSessions({ names, clock, log: logs.sessions }, name, state)
    this.#keyless = state === undefined ? undefined : KEYLESS_SESSION
    const redact = (text: string): string => deadLetters.redact(text)
    const openJournal = (eventId: string): Promise<Journal> =>
      Journal.open({ log: logs.steps, clock, redact }, journalSubject(names.mesh, name, eventId), name)
    const pause = (wait: Promise<unknown>): Promise<void> => this.#mailbox.pause(wait)
    const original = (event: MurmurEvent): Promise<MurmurEvent> => originalOf(event, ports)
    this.#isolated = agent.isolation === "worker" ? isolate(agent) : undefined
    this.#mailbox = new Mailbox(this.#isolated?.concurrency ?? agent.concurrency, (task) => this.#work(task))
    this.#quarantine = new Quarantine(agent, ports, this.#holdable(), this.#log)
    const stepPorts = {
      ...ports,
      guards: ports.guards.of(agent),
      openJournal,
      original,
      redact,
      pause,
      sessions: this.#sessions,
    }
    this.#worker = new StepWorker(agent, {
      sessions: this.#sessions,
      ...{ ports, openJournal, quarantine: this.#quarantine, stats: this.stats, log: this.#log },
      steps: new StepRunner(
        this.#isolated === undefined ? agent : inWorkers(agent, this.#isolated),
        stepPorts,
        this.stats,
      ),
      revival: new Revival(this.#gate, openJournal, ports.suspension, ports.events),
      stopping: this.#stopping.signal,
      pause,
    })
    const all = Array.from({ length: partitions }, (_, partition) => partition)
    const batchMax = Math.min(500, agent.inflightMax)
    const kind = agent.ordering === "none" ? "shared" : "ordered"
    const room = {
      free: () => Math.min(this.#mailbox.room, agent.inflightMax - this.inflight),
      onMore: (listener: () => void) => this.#mailbox.onRoom(listener),
    }
    this.#events = eventDurables(agent).map((durable, n) => new Feed(ports, durable, n, kind, batchMax, this, room))
    this.#inboxes = all.map(
      (n) => new Feed(ports, inboxDurableName(name, partitions, n), n, "inbox", INBOX_BATCH_MAX, this),
    )
    this.#marks = all.map((n) => new TenureMark(logs.steps, clock, tenureSubject(names.mesh, name, n), ports.nodeId))
  }

  /** What a quarantine holds back. Of a consumer that all nodes share, others do what has not begun here. */
  #holdable(): Holdable {
    const mailbox = this.#mailbox
    return {
      get running() {
        return mailbox.running
      },
      limit: (places) => {
        mailbox.limit(places)
        if (places > 0) return
        mailbox.withdraw(
          ({ feed }) => feed.kind === "shared",
          ({ feed, seq, delivery }) => feed.giveBack(seq, delivery, NOT_HERE_MS),
        )
      },
    }
  }

  get sessions(): number {
    return this.#keys.size
  }

  get inflight(): number {
    return this.#feeds().reduce((sum, { ledger }) => sum + ledger.size, 0)
  }

  get active(): boolean {
    return this.#events.some(({ port }) => port.owned)
  }

  get owned(): readonly number[] {
    return this.#ordered.filter(({ port }) => port.owned).map(({ partition }) => partition)
  }

  get quarantined(): boolean {
    return this.#quarantine.active
  }

  /** Hands it its events again at once, as many as it takes. Without effect when it is not quarantined. */
  endQuarantine(): void {
    this.#quarantine.end()
  }

  start(): void {
    const ackWaitMs = this.agent.ordering === "none" ? SHARED_ACK_WAIT_MS : ACK_WAIT_MS
    this.#endHeartbeat ??= heartbeat(this.ports.clock, () => this.#unfinished(), ackWaitMs)
    for (const { port, partition } of this.#events) if (!this.#handing.has(partition)) port.start()
    this.#started = true
    this.#startFreeInboxes()
  }

  /**
   * Pulls what is sent to this agent alone as well: not of the partitions that another node owns, so that a session has
   * one mailbox. Its consumers are made when they are first needed. Where events come in no order, no node owns a
   * session, and any may.
   */
  openInbox(): void {
    this.#inboxOpen = true
    this.#startFreeInboxes()
    for (const partition of this.#held) this.#inboxes[partition]?.port.start()
  }

  #startFreeInboxes(): void {
    if (!this.#inboxOpen || !this.#started || this.agent.ordering !== "none") return
    for (const { port } of this.#inboxes) port.start()
  }

  onPassive(feed: Feed<Task>, elsewhere: boolean): void {
    if (feed.kind !== "ordered" || !this.#inboxOpen) return
    const inbox = this.#inboxes[feed.partition]
    if (!elsewhere) inbox?.port.start()
    else void inbox?.port.stop().then(() => (inbox.ledger.size === 0 ? inbox.port.release() : undefined))
  }

  async pause(): Promise<void> {
    this.#started = false
    await Promise.all(this.#feeds().map(({ port }) => port.stop()))
  }

  leave(partition: number, left: boolean): void {
    this.#ordered[partition]?.port.leave?.(left)
  }

  async handOver(partition: number, graceMs: number): Promise<boolean> {
    const feeds = this.#feeds().filter((feed) => feed.kind !== "shared" && feed.partition === partition)
    if (!this.owned.includes(partition)) return false
    this.#handing.add(partition)
    for (const feed of feeds) this.#hold(feed)
    const finished = Promise.all(feeds.map(({ ledger }) => ledger.empty()))
    await waitAtMost(this.ports.clock, graceMs, finished, this.#stopping.signal)
    const unfinished = feeds.some(({ ledger }) => ledger.size > 0)
    if (!unfinished) await this.#letGo(feeds, true)
    this.#handing.delete(partition)
    if (!this.#started) return !unfinished
    if (unfinished) for (const { port } of feeds) port.resume?.()
    else this.#ordered[partition]?.port.start()
    return !unfinished
  }

  /**
   * What it owns it goes on owning until what runs is finished: a node that took it over meanwhile would begin the same
   * steps once more.
   */
  async stop(graceMs: number): Promise<void> {
    this.#started = false
    this.#quarantine.stop() // first: closing the mailbox lets go of what it held back
    this.#mailbox.close()
    for (const feed of this.#feeds()) this.#hold(feed)
    await waitAtMost(this.ports.clock, graceMs, this.#mailbox.idle())
    this.#stopping.abort()
    await waitAtMost(this.ports.clock, LAST_WORDS_MS, this.#mailbox.idle())
    this.#endHeartbeat?.()
    await this.#isolated?.stop()
    await this.#letGo(this.#feeds(), this.#mailbox.running === 0)
  }

  /** Takes nothing more of it. What has not begun is for the next owner. */
  #hold(feed: Feed<Task>): void {
    if (feed.kind === "shared") return void feed.port.stop()
    feed.port.hold?.()
    this.#withdraw(feed)
  }

  /** @param clean whether nothing runs any more: then whoever takes over is told, and need not wait for the pin to run out */
  async #letGo(feeds: readonly Feed<Task>[], clean: boolean): Promise<void> {
    const owned = feeds.filter(({ kind, port }) => kind === "ordered" && port.owned)
    const marks = owned.map((feed) => ({ mark: this.#marks[feed.partition], through: unfinishedThrough(feed) }))
    await Promise.all(feeds.map(({ port }) => port.stop()))
    if (!clean) return
    const marked = Promise.all(marks.map(({ mark, through }) => mark?.end(through).catch(() => {})))
    await waitAtMost(this.ports.clock, LAST_WORDS_MS, marked) // without a connection nobody can be told
    await Promise.all(feeds.map(({ port }) => port.release()))
  }

  /** Of its partitions, each at its number; none where events come in no order. */
  get #ordered(): readonly Feed<Task>[] {
    return this.agent.ordering === "none" ? [] : this.#events
  }

  #feeds(): Feed<Task>[] {
    return [...this.#events, ...this.#inboxes]
  }

  *#unfinished(): Generator<Task> {
    for (const { ledger } of this.#feeds()) yield* ledger.items()
  }

  /** A partition is this node's. */
  async onOwned(feed: Feed<Task>): Promise<Caution> {
    if (feed.kind !== "ordered") return { died: INBOX_BATCH_MAX, through: 0 } // few, and each step is looked up anyway
    this.#held.add(feed.partition)
    if (this.#inboxOpen) this.#inboxes[feed.partition]?.port.start()
    const before = await this.#marks[feed.partition]?.begin()
    return { died: before?.died === true ? this.agent.inflightMax : 0, through: before?.through ?? 0 }
  }

  /** What has not begun belongs to the next owner. */
  onLost(feed: Feed<Task>): void {
    const { ledger } = feed
    if (feed.kind !== "inbox") this.#sessions?.forgetAll() // the next owner will write them
    if (feed.kind === "ordered") {
      this.#held.delete(feed.partition)
      void this.#inboxes[feed.partition]?.port.stop()
    }
    this.#withdraw(feed)
    for (const task of ledger.items()) task.lost = true
  }

  #withdraw(feed: Feed<Task>): void {
    this.#mailbox.withdraw(
      (task) => task.feed === feed,
      (task) => feed.giveBack(task.seq, task.delivery),
    )
  }

  onDelivery(delivery: Delivery, feed: Feed<Task>): void {
    const { ledger } = feed
    const seq = delivery.seq
    const past = feed.pastOf(delivery)
    const known = ledger.get(seq)
    if (known === undefined && feed.kind === "shared" && this.#quarantine.active && this.#mailbox.room === 0) {
      delivery.receipt().giveBack?.(NOT_HERE_MS) // it was asked for before
      return
    }
    if (known !== undefined) {
      known.delivery = delivery.receipt()
      known.lost = false
      return
    }
    if (feed.isDone(delivery)) {
      delivery.ack()
      return
    }
    const inbox = feed.kind === "inbox"
    const intake = this.#gate.admit(delivery, inbox)
    if (intake.kind === "skip") {
      this.stats.skipped += 1
      ledger.skip(delivery)
      delivery.ack()
      return
    }
    crashPoint("P0")
    const event = intake.kind === "dead" ? undefined : intake.event
    const task = {
      event,
      seq,
      feed,
      past,
      inbox,
      lost: false,
      ordered: feed.kind === "ordered",
      key: this.#laneOf(event?.key, intake),
      delivery: delivery.receipt(),
      since: this.ports.clock.now(),
      storedAtMs: delivery.time.getTime(),
      resume: intake.kind === "resume" ? intake.resume : undefined,
    } as Task
    ledger.add(delivery, task)
    if (intake.kind === "dead") void this.#bury(intake.given).then(() => this.#finish(task))
    else this.#enqueue(task)
  }

  /** What an item waits for: the item before it of the same lane. */
  #laneOf(key: string | undefined, intake: Intake): string | undefined {
    if (this.agent.ordering === "none" && this.agent.state === undefined) return stepLane(intake)
    return key ?? this.#keyless ?? stepLane(intake)
  }

  #enqueue(task: Task): void {
    const { metrics } = this.ports.telemetry
    if (metrics.enabled) metrics.count("murmur.events.received", 1, { agent: this.agent.name, type: task.event.type })
    this.#keys.add(task.event.key)
    this.#mailbox.push(task)
  }

  async #work(task: Task): Promise<void> {
    const fate = await this.#worker.work(task)
    if (fate === "done") this.#finish(task)
    else if (fate === "lost" || task.feed.kind === "shared") task.feed.giveBack(task.seq, task.delivery)
  }

  async #bury(given: GivenUp): Promise<void> {
    await bury(given, burialPorts({ ports: this.ports, stats: this.stats, log: this.#log }), this.#stopping.signal)
  }

  #finish(task: Task): void {
    if (this.#stopping.signal.aborted) return
    task.feed.ledger.done(task.seq)
    task.delivery.ack()
    crashPoint("P9", 50)
  }
}

/**
 * Where the events of one step stand that has no key: beside all others, and one after the other, since two wake-ups of
 * one step must not run it twice at the same time.
 */
function stepLane(intake: Intake): string | undefined {
  if (intake.kind === "resume") return `\u0000${intake.resume.step}`
  return intake.kind === "run" ? `\u0000${intake.event.id}` : undefined
}

/** The highest sequence that was begun and is not finished; 0 when nothing is. */
function unfinishedThrough({ ledger }: Feed<Task>): number {
  return Math.max(0, ...[...ledger.items()].map(({ seq }) => seq))
}
