import { setTimeout as delay } from "node:timers/promises"
import type { SealedEvent } from "../bus/encode.js"
import type { MurmurEvent } from "../bus/event.js"
import { type Delivery, Partition } from "../bus/partition.js"
import { type ReadMessage, readHistory } from "../bus/reader.js"
import { ensureError, isMurmurError, TerminalError } from "../errors.js"
import { coverOf } from "../router/cover.js"
import type { Log } from "../telemetry/ports.js"
import { EmitGate } from "./context.js"
import { type GivenUp, letterEvent } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { type AgentStats, type HostPorts, heartbeat } from "./host.js"
import { IntakeGate } from "./intake.js"
import { Outputs } from "./outputs.js"
import { publishMissing } from "./publish-missing.js"
import { type Breakdown, ReactSession } from "./react-session.js"
import { type WindowClose, WindowLog } from "./windows/checkpoint.js"

interface Held {
  readonly delivery: Delivery
  readonly since: number
}

/** Pipelines of quiet keys are kept for so many keys; then those go first that were quiet longest and hold no window. */
const PIPELINES_MAX = 10_000
/** Without a closing window the log still moves on after so many events, so that a rebuild stays short. */
const CHECKPOINT_EVERY = 10_000
const COMMIT_CLOSES_MAX = 500
const IDLE_CHECK_MS = 500

/** What a node holds for a partition while it owns it. Thrown away as a whole when it loses it. */
interface Owned {
  readonly log: WindowLog
  readonly sessions: Map<string | undefined, ReactSession>
  lastSeq: number
  openEvents: number
  sinceCommit: number
  closes: WindowClose[]
  poisoned: number[]
  committing: Promise<void> | undefined
  /** During a rebuild: the log may not move past this sequence, whatever windows are open at the moment. */
  rebuildAtMost: number
}

/**
 * One partition of a `react` agent.
 *
 * Events are acked once they are in their window. A closing window is committed, by fence, with its outputs and with
 * the sequence from which the windows still open must be rebuilt; then the outputs are published. A node that takes the
 * partition over publishes what the last commit promised and is not there yet, reads that range of history again, and
 * goes on with the durable: nothing is lost, and a window built twice is published once.
 */
export class ReactPartition {
  readonly #partition: Partition
  readonly #intake: IntakeGate
  readonly #gate: EmitGate
  readonly #outputs: Outputs
  #owned: Owned | undefined
  #queue: Held[] = []
  #pumping = false
  #idleTimer: NodeJS.Timeout | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #replaying = false
  readonly #seen = new Set<string>()

  constructor(
    private readonly agent: AgentDefinition & { behaviour: { kind: "react" } },
    private readonly ports: HostPorts,
    private readonly stats: AgentStats,
    private readonly log: Log,
    private readonly place: { readonly partition: number; readonly durable: string },
  ) {
    this.#intake = new IntakeGate(agent, ports.bus.names, ports.routing)
    this.#gate = new EmitGate(agent.name, agent.emits)
    this.#outputs = new Outputs(agent.name, ports, stats)
    const options = {
      stream: ports.bus.names.events,
      durable: place.durable,
      batchMax: Math.min(500, agent.inflightMax),
      log,
    }
    this.#partition = new Partition(ports.bus.link, options, {
      onOwned: (floor) => this.#takeOver(floor),
      onLost: () => this.#drop(),
      onDelivery: (delivery) => this.#receive(delivery),
    })
  }

  get owned(): boolean {
    return this.#partition.owned
  }

  get sessions(): number {
    return this.#seen.size
  }

  get inflight(): number {
    return this.#queue.length
  }

  /** Open windows hold as many events as they may: nothing more is taken in until one closes. */
  get blocked(): boolean {
    return this.#owned !== undefined && this.#owned.openEvents >= this.agent.window.openEventsMax
  }

  start(): void {
    this.#partition.start()
    this.#idleTimer ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS)
    this.#heartbeat ??= heartbeat(() => this.#queue)
  }

  async stop(graceMs: number): Promise<void> {
    clearInterval(this.#idleTimer)
    clearInterval(this.#heartbeat)
    this.#idleTimer = undefined
    this.#heartbeat = undefined
    const committing = this.#owned?.committing
    await Promise.race([committing, delay(graceMs)])
    await this.#partition.stop()
    await this.#partition.release()
  }

  #drop(): void {
    for (const session of this.#owned?.sessions.values() ?? []) session.dispose()
    this.#owned = undefined
    this.#queue = []
  }

  // --- taking over -----------------------------------------------------------------------------------------------

  async #takeOver(floor: number): Promise<void> {
    const { bus } = this.ports
    const log = await WindowLog.open(bus, this.agent.name, this.place.partition, floor + 1)
    await this.#publishPromised(log)
    const owned: Owned = {
      log,
      sessions: new Map(),
      lastSeq: floor,
      openEvents: 0,
      sinceCommit: 0,
      closes: [],
      poisoned: [],
      committing: undefined,
      rebuildAtMost: log.rebuildFrom,
    }
    this.#owned = owned
    await this.#rebuild(owned, floor)
    owned.rebuildAtMost = Number.POSITIVE_INFINITY
    this.#commitSoon(owned)
  }

  /** The outputs of the last commit may not have been published when its writer died. */
  async #publishPromised(log: WindowLog): Promise<void> {
    const promised = log.inDoubt
    if (promised === undefined) return
    await publishMissing(this.ports.bus, this.agent.name, promised.outputs, promised.at)
  }

  async #rebuild(owned: Owned, floor: number): Promise<void> {
    const from = await this.#rebuildStart(owned.log.rebuildFrom)
    if (from > floor) return
    this.#replaying = true
    try {
      for await (const message of readHistory(this.ports.bus.link, {
        ...this.#history(),
        from: { seq: from },
        toSeq: floor,
      })) {
        if (this.#owned !== owned) return
        const event = this.#replayable(owned, message)
        if (event === undefined) continue
        const session = this.#session(owned, event.key)
        session.deliver(event)
        if (session.breakdown === undefined) continue
        if (event.seq >= owned.log.rebuildFrom) await this.#repair(owned, session, event, session.breakdown)
        else this.#discard(owned, session) // before the horizon's own past: it was given up when it came
      }
    } finally {
      this.#replaying = false
    }
  }

  #discard(owned: Owned, session: ReactSession): void {
    session.dispose()
    owned.sessions.delete(session.key)
  }

  /** With a horizon the recent past is fed again too, so that operators that are not windows are warm. */
  async #rebuildStart(rebuildFrom: number): Promise<number> {
    if (this.agent.horizonMs === 0) return rebuildFrom
    const time = new Date(Date.now() - this.agent.horizonMs)
    const read = { ...this.#history(), from: { time }, headersOnly: true, batchMax: 1 }
    for await (const { seq } of readHistory(this.ports.bus.link, read)) return Math.min(rebuildFrom, seq)
    return rebuildFrom
  }

  #history(key?: string): { stream: string; filter: string } {
    const { names } = this.ports.bus
    const patterns = coverOf(this.agent.triggers.map(({ pattern }) => pattern as never))
    const only = {
      partitions: this.agent.partitions,
      partition: this.place.partition,
      ...(key !== undefined && { key }),
    }
    const pattern = patterns.length === 1 ? String(patterns[0]) : ">"
    return { stream: names.events, filter: names.storedFilter(pattern, only) }
  }

  #replayable(owned: Owned, message: ReadMessage): MurmurEvent | undefined {
    if (owned.log.isPoisoned(message.seq) || owned.poisoned.includes(message.seq)) return undefined
    const intake = this.#intake.admit(message)
    return intake.kind === "run" ? intake.event : undefined
  }

  // --- events ----------------------------------------------------------------------------------------------------

  #receive(delivery: Delivery): void {
    this.#queue.push({ delivery, since: Date.now() })
    void this.#pump()
  }

  async #pump(): Promise<void> {
    // what arrives while the work below winds up found the door closed: look again
    while (!this.#pumping && this.#queue.length > 0 && !this.blocked && this.#owned !== undefined) {
      await this.#exclusively(() => this.#processQueue())
    }
  }

  async #processQueue(): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined && !this.blocked; next = this.#queue[0]) {
      const owned = this.#owned
      if (owned === undefined) return
      const waiting = this.#process(owned, next.delivery)
      if (waiting !== undefined) await waiting
      if (this.#queue[0] === next) this.#queue.shift()
    }
  }

  /** Whoever changes pipelines does it alone: events one by one, or a repair, or the closing of quiet keys. */
  async #exclusively(work: () => Promise<void>): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      await work()
    } catch (thrown) {
      this.#abandon(ensureError(thrown))
    } finally {
      this.#pumping = false
    }
  }

  /** @returns a promise only where something has to be awaited before the next event */
  #process(owned: Owned, delivery: Delivery): Promise<void> | undefined {
    const seq = delivery.seq
    if (seq <= owned.lastSeq) {
      delivery.ack() // handed out again although it is in its window
      return undefined
    }
    const intake = this.#intake.admit(delivery)
    if (intake.kind === "skip" || (intake.kind === "run" && owned.log.isPoisoned(seq))) {
      owned.lastSeq = seq
      this.stats.skipped += 1
      delivery.ack()
      return undefined
    }
    if (intake.kind === "dead") {
      return this.#bury(intake.given).then(() => {
        owned.lastSeq = seq
        delivery.ack()
      })
    }
    return this.#react(owned, intake.event, delivery)
  }

  #react(owned: Owned, event: MurmurEvent, delivery: Delivery): Promise<void> | undefined {
    const { metrics } = this.ports.telemetry
    if (metrics.enabled) metrics.count("murmur.events.received", 1, { agent: this.agent.name, type: event.type })
    const session = this.#session(owned, event.key)
    const outputs = this.#deliver(session, event)
    const { breakdown } = session
    if (breakdown !== undefined) {
      return this.#repair(owned, session, event, breakdown).then(() => this.#taken(owned, event, delivery))
    }
    if (outputs.length === 0) {
      this.#taken(owned, event, delivery)
      return undefined
    }
    // sent in order by one connection; the ack waits for them, the next event need not
    void this.#outputs
      .publish(outputs)
      .then(() => delivery.ack())
      .catch((error) => this.#abandon(ensureError(error)))
    this.#taken(owned, event)
    return undefined
  }

  /** Outputs become children of the event's own span: a window's, of that of the event that closed it. */
  #deliver(session: ReactSession, event: MurmurEvent): SealedEvent[] {
    const { tracing } = this.ports.telemetry
    if (!tracing.enabled) return session.deliver(event)
    const span = tracing.start(`process ${this.agent.name}`, {
      kind: "consumer",
      parent: event.trace,
      attributes: {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.message.id": event.id,
        "murmur.agent": this.agent.name,
        "murmur.event.type": event.type,
        "murmur.event.key": event.key,
      },
    })
    const outputs = span.run(() => session.deliver({ ...event, trace: span.context }))
    if (session.breakdown !== undefined) span.fail(session.breakdown.error)
    span.end()
    return outputs
  }

  #taken(owned: Owned, event: MurmurEvent, delivery?: Delivery): void {
    owned.lastSeq = Math.max(owned.lastSeq, event.seq)
    owned.sinceCommit += 1
    this.stats.steps += 1
    delivery?.ack()
    if (owned.closes.length > 0 || owned.poisoned.length > 0 || owned.sinceCommit >= CHECKPOINT_EVERY) {
      this.#commitSoon(owned)
    }
  }

  #session(owned: Owned, key: string | undefined): ReactSession {
    const known = owned.sessions.get(key)
    if (known !== undefined) {
      owned.sessions.delete(key)
      owned.sessions.set(key, known)
      return known
    }
    if (owned.sessions.size >= PIPELINES_MAX) this.#evict(owned)
    const sink = {
      closed: (close: WindowClose) => owned.closes.push(close),
      deferred: (output: SealedEvent) => this.#publishDeferred(output),
      late: () => this.#late(),
      held: (copies: number) => {
        owned.openEvents += copies
      },
      closedThrough: (of: string | undefined, operator: number) => owned.log.closedThrough(of, operator),
    }
    const session = new ReactSession(key, this.agent, this.ports.bus.names.mesh, this.#gate, sink, this.log)
    owned.sessions.set(key, session)
    if (key !== undefined) this.#seen.add(key)
    return session
  }

  #evict(owned: Owned): void {
    for (const [key, session] of owned.sessions) {
      if (session.firstSeq !== undefined) continue
      session.dispose()
      owned.sessions.delete(key)
      return
    }
  }

  #publishDeferred(output: SealedEvent): void {
    if (this.#replaying) return
    this.#outputs.publish([output]).catch((error) => {
      this.stats.failures += 1
      this.log.error({ error, type: output.type, key: output.key }, "cannot publish what a pipeline emitted later")
    })
  }

  #late(): void {
    if (this.#replaying) return // it was counted when it came
    this.stats.lateDropped += 1
    this.ports.telemetry.metrics.count("murmur.window.late", 1, { agent: this.agent.name })
  }

  #closeIdle(): void {
    const owned = this.#owned
    if (owned === undefined || this.#pumping || !this.owned) return
    void this.#exclusively(async () => {
      const quietSince = Date.now() - this.agent.window.idleTimeoutMs
      for (const session of [...owned.sessions.values()]) {
        if (session.lastArrival > quietSince || session.firstSeq === undefined) continue
        session.closeAll()
        const { breakdown, newest } = session
        if (breakdown !== undefined && newest !== undefined) await this.#repair(owned, session, newest, breakdown)
      }
      if (owned.closes.length > 0) this.#commitSoon(owned)
    }).then(() => this.#pump())
  }

  // --- commits ---------------------------------------------------------------------------------------------------

  /** One commit at a time; windows that close meanwhile share the next. */
  #commitSoon(owned: Owned): void {
    if (owned.committing !== undefined || this.#owned !== owned || this.#replaying) return
    owned.committing = this.#commit(owned)
      .catch((error) => this.#abandon(ensureError(error)))
      .finally(() => {
        owned.committing = undefined
        if (owned.closes.length > 0) this.#commitSoon(owned)
      })
  }

  async #commit(owned: Owned): Promise<void> {
    await Promise.resolve() // lets the windows that close in this turn of the loop join
    while (
      this.#owned === owned &&
      (owned.closes.length > 0 || owned.poisoned.length > 0 || owned.sinceCommit >= CHECKPOINT_EVERY)
    ) {
      const closes = owned.closes.splice(0, COMMIT_CLOSES_MAX)
      const poisoned = owned.poisoned.splice(0)
      owned.sinceCommit = 0
      await owned.log.commit(closes, this.#rebuildFrom(owned), poisoned)
      await this.#outputs.publish(closes.flatMap(({ outputs }) => outputs))
    }
  }

  /** Where a rebuild would have to begin: the oldest event in a window that is open, or in a close not yet committed. */
  #rebuildFrom(owned: Owned): number {
    if (owned.closes.length > 0) return owned.log.rebuildFrom
    let from = Math.min(owned.lastSeq + 1, owned.rebuildAtMost)
    for (const session of owned.sessions.values()) {
      const first = session.firstSeq
      if (first !== undefined && first < from) from = first
    }
    return from
  }

  // --- trouble ---------------------------------------------------------------------------------------------------

  /**
   * The pipeline of a key broke. The event (or the window that was closing) goes to the dead letters, and the key is
   * built again from history without it; other keys do not notice.
   */
  async #repair(owned: Owned, broken: ReactSession, event: MurmurEvent, breakdown: Breakdown): Promise<void> {
    const { window } = breakdown
    this.stats.failures += 1
    await this.#bury(this.#givenUp(event, breakdown))
    const rebuildAtMost = owned.rebuildAtMost
    owned.rebuildAtMost = Math.min(rebuildAtMost, broken.firstSeq ?? event.seq, event.seq)
    this.#discard(owned, broken)
    if (window === undefined) owned.poisoned.push(event.seq)
    else owned.closes.push({ key: broken.key ?? null, operator: window.operator, through: window.through, outputs: [] })
    // what was closed is committed first: the rebuilt pipeline must know it
    const replaying = this.#replaying
    this.#replaying = false
    await owned.committing
    await this.#commit(owned)
    this.#replaying = true
    try {
      await this.#rebuildKey(owned, broken.key, event, window !== undefined)
    } finally {
      owned.rebuildAtMost = rebuildAtMost
      this.#replaying = replaying
    }
  }

  async #rebuildKey(owned: Owned, key: string | undefined, event: MurmurEvent, withEvent: boolean): Promise<void> {
    const from = { seq: owned.log.rebuildFrom }
    const toSeq = withEvent ? event.seq : event.seq - 1
    if (from.seq > toSeq) return
    for await (const message of readHistory(this.ports.bus.link, { ...this.#history(key), from, toSeq })) {
      const again = this.#replayable(owned, message)
      if (again === undefined || again.key !== key) continue
      const session = this.#session(owned, key)
      session.deliver(again)
      if (session.breakdown !== undefined) return this.#repair(owned, session, again, session.breakdown)
    }
  }

  #givenUp(event: MurmurEvent, { error, window }: Breakdown): GivenUp {
    const where =
      window === undefined
        ? ""
        : ` (window ${new Date(window.span.start).toISOString()} to ${new Date(window.span.end).toISOString()}, ${window.span.size} events)`
    const code = isMurmurError(error) ? error.code : "PIPELINE"
    return {
      agent: this.agent.name,
      reason: "failed",
      event: letterEvent(event),
      key: event.key,
      error: new TerminalError(`The pipeline of "${this.agent.name}" broke${where}: ${error.message}`, {
        code,
        cause: error,
      }),
      attempts: [],
      traceparent: event.trace?.traceparent,
    }
  }

  async #bury(given: GivenUp): Promise<void> {
    await this.ports.deadLetters.write(given)
    this.stats.deadLetters += 1
    this.ports.telemetry.metrics.count("murmur.dead_letters", 1, { agent: this.agent.name, reason: given.reason })
    this.log.error(
      { event: given.event.id, key: given.key, reason: given.reason, error: given.error },
      "gave an event up; it is in the dead letters",
    )
  }

  /** Something that cannot be repaired in place: give the partition back and take it over again from what is stored. */
  #abandon(error: Error): void {
    if (this.#owned === undefined) return
    const fenced = isMurmurError(error) && error.code === "FENCE_CONFLICT"
    this.log.warn(
      { partition: this.place.partition, error },
      fenced ? "another node has this partition" : "giving a partition back after a fault",
    )
    this.#drop()
    this.#partition.restart()
  }
}
