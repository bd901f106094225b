import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { Alone } from "../agents/alone.js"
import { busEvents, handlerPorts } from "../agents/bus-ports.js"
import { systemClock } from "../agents/clock.js"
import { DeadLetterWriter } from "../agents/dead-letters.js"
import type { AgentDefinition } from "../agents/define-agent.js"
import { HandlerHost } from "../agents/handler-host.js"
import type { AgentHost } from "../agents/host.js"
import { ReactHost } from "../agents/react-host.js"
import { codeRoutes, routingOf, withoutPredicates } from "../agents/routes.js"
import { busToolServices } from "../agents/tools/bus-services.js"
import type { ToolServices } from "../agents/tools/node-services.js"
import type { Bus } from "../bus/bus.js"
import type { EventDraft } from "../bus/event.js"
import type { PublishAck, PublishOptions } from "../bus/publisher.js"
import type { RetentionOptions } from "../bus/stream-configs.js"
import { ensureError } from "../errors.js"
import type { ProviderStatus } from "../gateways/broker/broker.js"
import type { Labels } from "../router/labels.js"
import { LiveRoutes } from "../router/live.js"
import { RouteTable } from "../router/table.js"
import type { SourceContext, SourceDefinition, WebhookEndpoint } from "../sources/source.js"
import type { Log, Observe, Telemetry } from "../telemetry/ports.js"
import { Balance } from "./balance/balance.js"
import { Members } from "./balance/members.js"
import { type Change, followBucket } from "./bucket-follow.js"
import { type MeshBuckets, openBuckets, PRESENCE_TTL_MS, type PresenceRecord } from "./buckets.js"
import { agentRecord, noteInCatalogue } from "./catalogue.js"
import { prepareForNode } from "./deployment/node.js"
import { checkStamp, STAMP_KEY } from "./deployment/stamp.js"
import { drainKey, drainMeaning } from "./drain-wish.js"
import { amountOf, type NodeGuards, openGuards } from "./guards.js"
import { agentCheck, checkNames, type Hosted, presentAgent, type ReadinessCheck } from "./hosted.js"
import { NodeMinds } from "./minds.js"
import { Denials } from "./rights/denials.js"
import { SourceHost } from "./source-host.js"
import { Suspensions } from "./suspensions.js"
import { VERSION } from "./version.js"

export interface NodeOptions extends Hosted {
  readonly bus: Bus
  readonly telemetry: Telemetry
  /** Registers gauges of what the node makes as it goes: the providers of its models. Default: none. */
  readonly observe?: Observe
  /** Takes secrets out of dead letters. Default: leaves text as it is. */
  readonly redact?: (text: string) => string
  /** Unique in the mesh. Default: host name and a few random characters. */
  readonly id?: string
  /** Agents of the same files that other nodes host: noted, where the mesh does not know of them yet. */
  readonly elsewhere?: readonly AgentDefinition[]
  /** What the node is labelled with. Default: nothing. */
  readonly labels?: Labels
  /** How whoever runs the node calls the version of the agents' code, such as a git sha or an image tag. Default: nothing. */
  readonly codeVersion?: string | undefined
  /** How long what runs may take to finish when the node stops, in milliseconds; then it is handed back. Default 25_000. */
  readonly graceMs?: number
  /** How much the mesh keeps. What is given is applied also to streams that exist; the defaults only to those that are made. */
  readonly retention?: RetentionOptions
}

const PRESENCE_EVERY_MS = PRESENCE_TTL_MS / 5
const GRACE_MS = 25_000

/** An id that no other node of a mesh has. */
export function newNodeId(): string {
  return `${hostname().toLowerCase()}-${randomBytes(3).toString("hex")}`
}

/**
 * A node: a process that hosts agents and sources of one mesh. The composition root of bus, router, agents and sources;
 * HTTP and the CLI stand on it.
 */
export class MurmurNode {
  readonly id: string
  readonly telemetry: Telemetry
  readonly #log: Log
  readonly #hosts = new Map<string, AgentHost>()
  readonly #sources = new Map<string, SourceHost>()
  readonly #paused = new Set<string>()
  readonly #inboxes = new Set<string>()
  /** What was last said of each agent that an operator has resumed. */
  readonly #wakes = new Map<string, string>()
  readonly #stopping = new AbortController()
  readonly #since = new Date().toISOString()
  readonly #deadLetters: DeadLetterWriter
  readonly #suspensions: Suspensions
  readonly #alone = new Alone()
  readonly #minds: NodeMinds
  readonly #toolServices: ToolServices
  readonly #members = new Members(systemClock)
  readonly #balance: Balance
  #plainTable = RouteTable.from([])
  #presenceTimer: NodeJS.Timeout | undefined
  #http: string | null = null
  /** An operator makes it leave. */
  #draining = false
  /** All that it had begun is done, or given up. */
  #left = false
  #stopped: Promise<void> | undefined

  private constructor(
    private readonly options: NodeOptions,
    private readonly buckets: MeshBuckets,
    private readonly routes: { live: LiveRoutes },
    private readonly guards: NodeGuards,
  ) {
    this.id = options.id ?? newNodeId()
    this.telemetry = options.telemetry
    this.#log = options.telemetry.log
    const redact = options.redact ?? ((text: string) => text)
    const partitionsOf = (agent: string): 1 | 8 | 64 => this.#hosts.get(agent)?.agent.partitions ?? 1
    this.#suspensions = new Suspensions(options.bus, buckets, this.#log, partitionsOf, this.#stopping.signal)
    this.#toolServices = busToolServices(options.bus)
    const { bus, telemetry, observe } = options
    this.#minds = new NodeMinds({ bus, telemetry, observe }, options.models)
    this.#deadLetters = new DeadLetterWriter(options.bus.publisher, options.bus.names, redact)
    const mesh = { nodeId: this.id, members: this.#members, clock: systemClock, log: this.#log }
    this.#balance = new Balance({ ...mesh, hosts: () => this.#hosts.values() })
    const owners = (): string[] => [...this.#hosts.keys(), ...this.#sources.keys()]
    new Denials({ bus, node: this.id, telemetry, owners }).follow()
  }

  /**
   * Starts a node: brings streams, consumers, routes and catalogue up to date, then begins to work.
   *
   * @throws MurmurError `NODE_TWICE` when two agents or sources have one name; `STREAM_MIGRATE`, `CONSUMER_SETUP`, ...
   */
  static async start(options: NodeOptions): Promise<MurmurNode> {
    checkNames(options)
    const { bus } = options
    const { log } = options.telemetry
    const deploy = await prepareForNode(bus, options, log)
    await deploy(new AbortController().signal)
    const buckets = await openBuckets(bus)
    const routes = {} as { live: LiveRoutes }
    const node = new MurmurNode(options, buckets, routes, await openGuards(bus, options.telemetry))
    const following = { signal: node.#stopping.signal, log }
    const onChange = (): void => node.#onRoutes()
    routes.live = await LiveRoutes.open(buckets.routes, codeRoutes(options.agents), { ...following, onChange })
    node.#plainTable = withoutPredicates(routes.live.table)
    await followBucket(buckets.settings, (change) => node.#applySetting(change), following)
    await node.#members.follow(buckets.presence, following)
    for (const agent of options.agents) node.#addAgent(agent)
    for (const source of options.sources) node.#addSource(source)
    await node.#noteElsewhere()
    await node.#announce()
    node.#presenceTimer = setInterval(() => void node.#announce(), PRESENCE_EVERY_MS)
    node.#balance.start()
    return node
  }

  get bus(): Bus {
    return this.options.bus
  }

  get #graceMs(): number {
    return this.options.graceMs ?? GRACE_MS
  }

  /** Aborted when it begins to stop: somebody called {@link stop}, or an operator drains it. */
  get leaving(): AbortSignal {
    return this.#stopping.signal
  }

  /** How the providers of models stand that its agents have asked. */
  get providers(): readonly ProviderStatus[] {
    return this.#minds.providers
  }

  /** The agents that it hosts. */
  get hosts(): readonly AgentHost[] {
    return [...this.#hosts.values()]
  }

  get sources(): readonly SourceHost[] {
    return [...this.#sources.values()]
  }

  /** The webhooks of its sources, each with its context. */
  get webhooks(): readonly { readonly endpoint: WebhookEndpoint; readonly ctx: SourceContext }[] {
    return this.sources.flatMap(({ source, ctx }) => (source.webhooks ?? []).map((endpoint) => ({ endpoint, ctx })))
  }

  /** Tells the mesh under which address this node answers HTTP. */
  async announceHttp(url: string): Promise<void> {
    this.#http = url
    await this.#announce()
  }

  publish(draft: EventDraft, options: PublishOptions): Promise<PublishAck> {
    return this.options.bus.publish(draft, options)
  }

  /** Whether it can work at this moment, and what stands against it. */
  readiness(): { readonly ready: boolean; readonly checks: readonly ReadinessCheck[] } {
    const { bus } = this.options
    const checks: ReadinessCheck[] = [
      { name: "nats", ok: bus.connected, detail: bus.connected ? "connected" : "no connection to NATS" },
      ...this.hosts.map(agentCheck),
      { name: "stopping", ok: !this.#stopping.signal.aborted, detail: "not asked to stop" },
    ]
    return { ready: checks.every(({ ok }) => ok), checks }
  }

  /**
   * Puts other code in the place of what it hosts, by name: new ones start, those gone are stopped, changed ones are
   * swapped. What waits for a swapped agent stays with its consumer, so nothing is lost.
   */
  async replace(hosted: Hosted): Promise<void> {
    checkNames(hosted)
    const names = hosted.agents.map(({ name }) => name)
    const gone = [...this.#hosts.keys()].filter((name) => !names.includes(name))
    const deploy = await prepareForNode(this.bus, { ...hosted, gone }, this.#log) // refused, the running code goes on
    this.#minds.replace(hosted.models)
    for (const [name, host] of this.#hosts) {
      if (hosted.agents.includes(host.agent)) continue
      await host.stop(this.#graceMs)
      this.#hosts.delete(name)
    }
    await deploy(this.#stopping.signal)
    this.routes.live.replaceCode(codeRoutes(hosted.agents))
    for (const agent of hosted.agents) if (!this.#hosts.has(agent.name)) this.#addAgent(agent)
    await this.#replaceSources(hosted.sources)
    await this.#announce()
  }

  /**
   * Stops: no new work, what runs is finished within the grace period, the rest is left to whoever takes over. Called
   * again, or while it is drained, it resolves when that is done.
   *
   * @param graceMs default: the node's own
   */
  stop(graceMs = this.#graceMs): Promise<void> {
    this.#stopped ??= this.#stop(graceMs)
    return this.#stopped
  }

  async #stop(graceMs: number): Promise<void> {
    this.#stopping.abort()
    this.#balance.stop()
    void this.#announce() // others may prepare to take over
    const { steady } = systemClock
    const over = steady() + graceMs // of all of it together: whoever sent the signal waits no longer
    await Promise.all(this.sources.map((source) => source.stop(graceMs)))
    await Promise.all(this.hosts.map((host) => host.stop(Math.max(0, over - steady()))))
    await this.#minds.close()
    clearInterval(this.#presenceTimer)
    this.#left = true
    if (!this.options.bus.connected) return
    await this.guards.guards.flush() // what models have cost, and what was reserved
    // in this order: whoever sees it gone knows by the wish whether it was drained
    if (this.#draining) await this.#forgetDrainWish()
    await this.buckets.presence.delete(this.id).catch(() => {})
  }

  async #replaceSources(sources: readonly SourceDefinition[]): Promise<void> {
    for (const [name, host] of this.#sources) {
      if (sources.includes(host.source)) continue
      await host.stop(this.#graceMs)
      this.#sources.delete(name)
    }
    for (const source of sources) if (!this.#sources.has(source.name)) this.#addSource(source)
  }

  #addAgent(agent: AgentDefinition): void {
    const { bus } = this.options
    const ports = {
      names: bus.names,
      guards: this.guards.guards,
      events: busEvents(bus),
      clock: systemClock,
      telemetry: this.telemetry,
      deadLetters: this.#deadLetters,
      random: Math.random,
      nodeId: this.id,
      minds: this.#minds,
      toolServices: this.#toolServices,
      onQuarantine: () => void this.#announce(),
      routing: routingOf(agent.name, { plain: () => this.#plainTable, full: () => this.routes.live.table }),
    }
    const { behaviour } = agent
    const host: AgentHost =
      behaviour.kind === "handle"
        ? new HandlerHost(
            { ...agent, behaviour },
            handlerPorts(bus, agent.name, ports, { alone: this.#alone, suspension: this.#suspensions }),
          )
        : new ReactHost({ ...agent, behaviour }, { ...ports, bus })
    this.#hosts.set(agent.name, host)
    this.#balance.place(host)
    if (this.#inboxes.has(agent.name)) this.#openInbox(host)
    if (this.#runs(agent.name)) host.start()
  }

  #addSource(source: SourceDefinition): void {
    const host = new SourceHost(source, this.options.bus, this.telemetry, this.buckets.sources)
    this.#sources.set(source.name, host)
    host.start()
  }

  async #noteElsewhere(): Promise<void> {
    if (this.bus.link.rights.restricted) return
    for (const agent of this.options.elsewhere ?? []) await noteInCatalogue(this.buckets.catalogue, agentRecord(agent))
  }

  /** A node that may not write settings leaves it: the wish is older than any node that is started later. */
  async #forgetDrainWish(): Promise<void> {
    if (!this.bus.link.rights.restricted) await this.buckets.settings.delete(drainKey(this.id)).catch(() => {})
  }

  /** An agent that is paused does not pull, nor does one without routes: it has no consumer. */
  #runs(agent: string): boolean {
    return !this.#paused.has(agent) && this.routes.live.table.patternsOf(agent).length > 0
  }

  #onRoutes(): void {
    this.#plainTable = withoutPredicates(this.routes.live.table)
    this.#settle()
    void this.#announce()
  }

  /** Starts and stops pulling as the routes and the operator's decisions say. */
  #settle(): void {
    if (this.#stopping.signal.aborted) return
    for (const [name, host] of this.#hosts) {
      if (this.#runs(name)) host.start()
      else host.pause().catch((error) => this.#log.error({ agent: name, error }, "cannot pause an agent"))
    }
  }

  #applySetting(change: Change): void {
    const { key, value } = change
    const [kind, agent = ""] = key.split(".")
    if (kind === "pause") {
      if (value === undefined) this.#paused.delete(agent)
      else this.#paused.add(agent)
      this.#settle()
      void this.#announce()
    } else if (kind === "inbox" && value !== undefined) {
      this.#inboxes.add(agent)
      const host = this.#hosts.get(agent)
      if (host !== undefined) this.#openInbox(host)
    } else if (kind === "wake" && value !== undefined) this.#onWake(agent, JSON.stringify(value))
    else if (key === STAMP_KEY) this.#onStamp(value)
    else if (kind === "budget") this.guards.limits.set(agent, amountOf(value))
    else if (kind === "drain") {
      this.#onDrain(drainMeaning(change, { id: this.id, since: this.#since })).catch((error) =>
        this.#log.error({ error }, "cannot leave in good order"),
      )
    }
  }

  async #onDrain(meaning: ReturnType<typeof drainMeaning>): Promise<void> {
    const { settings } = this.buckets
    if (meaning === "none" || this.#draining) return
    if (meaning === "old") return this.#forgetDrainWish() // an earlier process did not live to do it
    // seen late, it may have been taken back meanwhile; when nobody can say, it stands
    const stands = await settings.get(drainKey(this.id)).catch(() => "unknown")
    if (stands === undefined || this.#draining) return
    this.#draining = true
    this.#log.info({}, "an operator drains this node")
    await this.#announce()
    await this.stop()
  }

  #openInbox(host: AgentHost): void {
    if (!(host instanceof HandlerHost)) return
    host.openInbox()
    this.#suspensions.follow(host.agent.name)
  }

  /** A newer murmur may deploy beside nodes that run: those that cannot follow are to be replaced. */
  #onStamp(stamp: unknown): void {
    try {
      checkStamp(this.bus.names.mesh, stamp)
    } catch (error) {
      this.#log.error({ error: ensureError(error) }, "the mesh was deployed anew: replace this node")
    }
  }

  /** An operator has resumed an agent. What was said before is seen again when the settings are. */
  #onWake(agent: string, said: string): void {
    if (this.#wakes.get(agent) === said) return
    this.#wakes.set(agent, said)
    const host = this.#hosts.get(agent)
    if (host instanceof HandlerHost) host.endQuarantine()
  }

  async #announce(): Promise<void> {
    if (this.#left || !this.options.bus.connected) return
    try {
      await this.buckets.presence.putNow(this.id, this.#presence())
    } catch (error) {
      this.#log.debug({ error: ensureError(error) }, "cannot tell the mesh that this node is alive")
    }
  }

  #presence(): PresenceRecord {
    return {
      id: this.id,
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      codeVersion: this.options.codeVersion ?? null,
      labels: { ...this.options.labels },
      graceMs: this.#graceMs,
      since: this.#since,
      http: this.#http,
      draining: this.#draining || this.#stopping.signal.aborted,
      routesRevision: this.routes.live.revision,
      agents: this.hosts.map((host) =>
        presentAgent(host, { paused: this.#paused.has(host.agent.name), models: this.#minds.modelsOf(host.agent) }),
      ),
      sources: this.sources.map(({ source, state }) => ({ name: source.name, state })),
      providers: [...this.providers],
    }
  }
}
