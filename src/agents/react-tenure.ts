import type { SealedEvent } from "../bus/encode.js"
import type { MurmurEvent } from "../bus/event.js"
import type { Delivery } from "../bus/partition.js"
import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { burialPorts, bury } from "./burial.js"
import type { EmitGate } from "./context.js"
import { type GivenUp, letterEvent } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import type { StepGuards } from "./guards/guards.js"
import type { AgentStats, HostPorts } from "./host.js"
import type { IntakeGate } from "./intake.js"
import type { KeyCount } from "./key-count.js"
import { originalOf } from "./original-event.js"
import type { Outputs } from "./outputs.js"
import { publishMissing } from "./publish-missing.js"
import { ReactCommits } from "./react-commits.js"
import { ReactHistory, type ReactPlace } from "./react-history.js"
import { ReactPipelines } from "./react-pipelines.js"
import { ReactRepair } from "./react-repair.js"
import { ReactSending } from "./react-sending.js"
import { ReactSession } from "./react-session.js"
import { deliverTraced, windowSpans } from "./react-tracing.js"
import { WindowLog } from "./windows/checkpoint.js"

/** What a tenure shares with those before and after it on this node. */
export interface TenureParts {
  readonly agent: AgentDefinition & { behaviour: { kind: "react" } }
  readonly ports: HostPorts
  readonly place: ReactPlace
  readonly stats: AgentStats
  readonly log: Log
  readonly intake: IntakeGate
  readonly gate: EmitGate
  readonly guards: StepGuards
  readonly outputs: Outputs
  readonly keys: KeyCount
}

interface Held {
  readonly delivery: Delivery
  readonly since: number
}

/** What the server takes at most, when it does not say. */
const PAYLOAD_BYTES_MAX = 1024 * 1024
/** Of a record, for what stands around the outputs. */
const RECORD_BYTES = 32 * 1024

/**
 * What a node holds for a partition of a `react` agent while it owns it: pipelines, what waits for them, commits. It is
 * thrown away as a whole when the ownership is over; whatever is still under way then changes nothing any more.
 *
 * Pipelines are changed by one piece of work at a time: events in their order, a repair, or the closing of quiet keys.
 */
export class ReactTenure {
  readonly #pipelines: ReactPipelines
  readonly #commits: ReactCommits
  readonly #repair: ReactRepair
  readonly #sending: ReactSending
  #queue: Held[] = []
  #working: Promise<void> | undefined
  #lastSeq: number
  #openEvents = 0
  #rebuilding = true
  #stopping = false

  private constructor(
    private readonly parts: TenureParts,
    private readonly windows: WindowLog,
    private readonly history: ReactHistory,
    floor: number,
    private readonly ended: AbortSignal,
    /** Something that cannot be repaired in place. */
    private readonly onFault: (error: Error) => void,
  ) {
    this.#lastSeq = floor
    this.#pipelines = new ReactPipelines((key) => this.#open(key))
    this.#commits = new ReactCommits({
      log: windows,
      ended,
      bytesMax: this.#bytesMax,
      rebuildFrom: () => this.#pipelines.oldestSeq(this.#lastSeq + 1),
      publish: (outputs) => parts.outputs.publish(outputs),
      onFault: (error) => this.#fault(error),
    })
    this.#sending = new ReactSending(parts, ended, (error) => this.#fault(error))
    const shared = { ...parts, pipelines: this.#pipelines, commits: this.#commits, windows, history, ended }
    this.#repair = new ReactRepair(shared)
  }

  /**
   * Begins a tenure: publishes what the last commit promised, makes this node the log's writer and builds the windows
   * that were open.
   *
   * @param floor all at or below is acked
   * @param ended aborted when the ownership is over
   */
  static async begin(
    parts: TenureParts,
    floor: number,
    ended: AbortSignal,
    onFault: (error: Error) => void,
  ): Promise<ReactTenure | undefined> {
    const { agent, ports, place } = parts
    const windows = await WindowLog.open(ports.bus, agent.name, place.partition)
    const history = await ReactHistory.open(agent, ports, place)
    const promised = windows.inDoubt
    if (promised !== undefined && !ended.aborted) {
      await publishMissing(ports.events, agent.name, promised.outputs, promised.at)
    }
    if (ended.aborted) return undefined
    await windows.claim(floor + 1)
    const tenure = new ReactTenure(parts, windows, history, floor, ended, onFault)
    ended.addEventListener("abort", () => tenure.#dispose(), { once: true })
    await tenure.#rebuild(floor)
    return ended.aborted ? undefined : tenure
  }

  /** What waits to be put into pipelines. */
  get waiting(): readonly Held[] {
    return this.#queue
  }

  /** Open windows hold as many events as they may: nothing more is taken in until one closes. */
  get blocked(): boolean {
    return this.#openEvents >= this.parts.agent.window.openEventsMax
  }

  receive(delivery: Delivery): void {
    this.#queue.push({ delivery, since: Date.now() })
    this.#goOn()
  }

  /** Closes the windows of keys from which nothing came for a while. */
  closeQuiet(): void {
    if (this.#working === undefined) this.#work(() => this.#closeQuietKeys())
  }

  /** Takes nothing more in; resolves when what is under way is done. */
  async settle(): Promise<void> {
    this.#stopping = true
    await this.#working
    await Promise.all([this.#commits.now(), this.#sending.settled()])
  }

  #dispose(): void {
    this.#queue = []
    this.#pipelines.dispose()
  }

  async #rebuild(floor: number): Promise<void> {
    const { rebuildFrom } = this.windows
    const from = await this.history.start(rebuildFrom, this.ended)
    await this.#commits.holding(async () => {
      if (from > floor) return
      for await (const message of this.history.read(from, floor, this.ended)) {
        const event = this.#repair.replayable(message)
        if (event === undefined) continue
        const session = this.#pipelines.of(event.key)
        session.deliver(event)
        const { breakdown } = session
        if (breakdown === undefined) continue
        if (event.seq < rebuildFrom)
          this.#pipelines.discard(session) // of the horizon: it was given up when it came
        else await this.#repair.run(session, event, breakdown)
      }
    })
    this.#rebuilding = false
    for (const session of this.#pipelines) session.replaying = false
    this.#commits.soon()
  }

  // --- work, one piece at a time ---------------------------------------------------------------------------------

  #goOn(): void {
    if (this.#working === undefined && this.#queue.length > 0 && !this.blocked && !this.#stopping) {
      this.#work(() => this.#takeIn())
    }
  }

  #work(task: () => Promise<void>): void {
    this.#working = task()
      .catch((error) => this.#fault(error))
      .finally(() => {
        this.#working = undefined
        this.#goOn() // what came while the work wound up found the door closed
      })
  }

  async #takeIn(): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined && !this.blocked && !this.#stopping; next = this.#queue[0]) {
      const waiting = this.#process(next.delivery)
      if (waiting !== undefined) await waiting
      if (this.ended.aborted) return
      this.#queue.shift()
    }
  }

  /** @returns a promise only where something has to be awaited before the next event */
  #process(delivery: Delivery): Promise<void> | undefined {
    const seq = delivery.seq
    if (seq <= this.#lastSeq) {
      if (!this.#sending.has(seq)) delivery.ack() // handed out again although it is in its pipeline
      return undefined
    }
    const intake = this.parts.intake.admit(delivery)
    if (
      intake.kind === "skip" ||
      intake.kind === "resume" ||
      (intake.kind === "run" && this.#commits.isPoisoned(seq))
    ) {
      this.#lastSeq = seq
      this.parts.stats.skipped += 1
      delivery.ack()
      return undefined
    }
    if (intake.kind === "run") {
      const admission = this.parts.guards.admit(intake.event)
      return admission === undefined
        ? this.#react(intake.event, delivery)
        : this.#reactWhen(admission, intake.event, delivery)
    }
    return this.#bury(intake.given).then((stored) => {
      if (!stored) return
      this.#lastSeq = seq
      delivery.ack()
    })
  }

  async #reactWhen(admission: Promise<void>, event: MurmurEvent, delivery: Delivery): Promise<void> {
    try {
      await admission
    } catch (thrown) {
      if (!(thrown instanceof GuardTripped)) throw thrown
      await this.#keepOut(event, delivery, thrown)
      return
    }
    if (!this.ended.aborted) await this.#react(event, delivery)
  }

  /** An event that a guard stopped. That it is not in its pipeline is committed before it is acked: it may be built again. */
  async #keepOut(event: MurmurEvent, delivery: Delivery, error: GuardTripped): Promise<void> {
    const { agent, ports } = this.parts
    const letter = letterEvent(await originalOf(event, ports))
    const given = { agent: agent.name, reason: error.reason, event: letter, key: event.key, error, attempts: [] }
    if (!(await this.#bury({ ...given, traceparent: event.trace?.traceparent }))) return
    this.#commits.poison(event.seq)
    await this.#commits.now()
    if (this.ended.aborted) return
    this.#lastSeq = event.seq
    delivery.ack()
  }

  #react(event: MurmurEvent, delivery: Delivery): Promise<void> | undefined {
    const { agent, ports } = this.parts
    const { metrics } = ports.telemetry
    const session = this.#pipelines.of(event.key)
    if (session.brokeLater) return this.#revive(session, event, delivery)
    if (metrics.enabled) metrics.count("murmur.events.received", 1, { agent: agent.name, type: event.type })
    const outputs = deliverTraced(session, event, agent.name, ports.telemetry.tracing)
    const { breakdown } = session
    if (breakdown !== undefined) {
      return this.#repair.run(session, event, breakdown).then(() => {
        if (!this.ended.aborted) this.#taken(event, delivery)
      })
    }
    // sent in order by one connection; the ack waits for them, the next event need not
    if (outputs.length > 0) this.#sending.send(outputs, event, delivery)
    this.#taken(event, outputs.length > 0 ? undefined : delivery)
    return undefined
  }

  async #revive(session: ReactSession, event: MurmurEvent, delivery: Delivery): Promise<void> {
    await this.#repair.revive(session, this.#lastSeq)
    if (!this.ended.aborted) await this.#react(event, delivery)
  }

  #taken(event: MurmurEvent, delivery: Delivery | undefined): void {
    this.#lastSeq = Math.max(this.#lastSeq, event.seq)
    this.parts.stats.steps += 1
    this.#commits.taken()
    delivery?.ack()
    this.#commits.soon()
  }

  async #closeQuietKeys(): Promise<void> {
    const quietSince = Date.now() - this.parts.agent.window.idleTimeoutMs
    for (const session of this.#pipelines) {
      if (this.ended.aborted) return
      if (session.firstSeq === undefined || session.lastArrival > quietSince) continue
      if (session.brokeLater) {
        await this.#repair.revive(session, this.#lastSeq) // what it holds is closed next time
      } else {
        session.closeAll()
        await this.#repair.check(session)
      }
    }
    this.#commits.soon()
  }

  // --- pipelines -------------------------------------------------------------------------------------------------

  #open(key: string | undefined): ReactSession {
    const { agent, ports, gate, log, keys, stats } = this.parts
    keys.add(key)
    const sink = {
      closed: (close: Parameters<ReactCommits["close"]>[0]) => this.#commits.close(close),
      deferred: (output: SealedEvent) => this.#sending.sendLater(output),
      late: () => {
        stats.lateDropped += 1
        ports.telemetry.metrics.count("murmur.window.late", 1, { agent: agent.name })
      },
      held: (copies: number) => {
        this.#openEvents += copies
      },
      closedThrough: (of: string | undefined, operator: number) => this.windows.closedThrough(of, operator),
      windowSpan: windowSpans(agent.name, ports.telemetry.tracing),
      bytesMax: this.#bytesMax,
      rebuildFrom: this.windows.rebuildFrom,
    }
    const session = new ReactSession(key, agent, ports.bus.names.mesh, gate, sink, log)
    session.replaying = this.#rebuilding
    if (this.ended.aborted) session.dispose()
    return session
  }

  get #bytesMax(): number {
    return (this.parts.ports.bus.link.connection.info?.max_payload ?? PAYLOAD_BYTES_MAX) - RECORD_BYTES
  }

  #bury(given: GivenUp): Promise<boolean> {
    return bury(given, burialPorts(this.parts), this.ended)
  }

  #fault(thrown: unknown): void {
    if (!this.ended.aborted) this.onFault(ensureError(thrown))
  }
}
