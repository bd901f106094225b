import { Alone } from "../../../src/agents/alone.js"
import { DeadLetterWriter } from "../../../src/agents/dead-letters.js"
import type { AgentDefinition } from "../../../src/agents/define-agent.js"
import { memoryGuards } from "../../../src/agents/guards/memory.js"
import { HandlerHost } from "../../../src/agents/handler-host.js"
import { inboxType, SHARED_ACK_WAIT_MS } from "../../../src/agents/host.js"
import type { HandlerPorts } from "../../../src/agents/ports.js"
import { routingOf } from "../../../src/agents/routes.js"
import type { SuspensionPort, Timer } from "../../../src/agents/suspension.js"
import type { Publisher } from "../../../src/bus/publisher.js"
import { noTelemetry } from "../../../src/telemetry/ports.js"
import { SimLane } from "../model/lane.js"
import { Link, type LinkOptions } from "../model/link.js"
import { SimLog } from "../model/log.js"
import { SimSharedConsumer } from "../model/shared-consumer.js"
import { SimSharedLane } from "../model/shared-lane.js"
import { Process } from "../world/process.js"
import { TABLES } from "./agents.js"
import { SimEvents } from "./events.js"
import { handlerOf } from "./handler.js"
import type { SimMesh } from "./mesh.js"
import { simMinds } from "./sim-model.js"
import type { WakeTaker } from "./timers.js"
import { WatchedLog } from "./watched-log.js"

/** One run of one node: the real hosts of all agents, in a simulated process. */
export class SimNode implements WakeTaker {
  readonly process: Process
  readonly link: Link
  readonly #events: SimEvents
  readonly #lanes: SimLane[] = []
  readonly #hosts: readonly HandlerHost[]

  constructor(
    private readonly mesh: SimMesh,
    name: string,
    link: LinkOptions,
  ) {
    this.process = new Process(mesh.world, name)
    this.link = new Link(this.process, mesh.server, link)
    this.#events = new SimEvents(this.link, mesh)
    const ports = mesh.options.tamper?.(this.#ports(), mesh) ?? this.#ports()
    this.#hosts = mesh.agents.map((agent) => this.#host(agent, ports))
    this.link.onReconnect(() => this.#lookForInboxes())
  }

  get name(): string {
    return this.process.name
  }

  get heard(): boolean {
    return this.process.alive && this.link.heard
  }

  start(): void {
    for (const host of this.#hosts) host.start()
    this.#lookForInboxes()
  }

  /** As on SIGTERM. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.stop(graceMs)))
    this.process.world.note(this.name, () => "stopped")
    this.link.close()
    this.process.crash()
  }

  /** By a watch on the settings: agents whose inbox is there now. */
  inboxOpened(agent: string): void {
    this.link.down(() => this.#openInbox(agent))
  }

  /** What is due goes into the inbox of its agent. */
  wake(timer: Timer, ack: () => void): void {
    this.link.down(() => void this.#publishWake(timer).then(() => this.link.say(ack)))
  }

  #publishWake({ agent, key, step, position }: Timer): Promise<unknown> {
    const data = { kind: "wake", step, position }
    const id = `wake ${this.mesh.nextNumber()}`
    return this.#events.publish({ type: inboxType(agent), key, data, id }, { producer: "murmur" })
  }

  #openInbox(agent: string): void {
    this.#hosts.find((host) => host.agent.name === agent)?.openInbox()
    for (const lane of this.#lanes) lane.lookSoon()
  }

  #lookForInboxes(): void {
    for (const agent of this.mesh.inboxes) this.inboxOpened(agent)
  }

  #host(agent: AgentDefinition, ports: Omit<HandlerPorts, "routing">): HandlerHost {
    const handle = handlerOf(this.mesh, this.process, agent)
    const routing = routingOf(agent.name, TABLES)
    return new HandlerHost({ ...agent, behaviour: { kind: "handle", handle } }, { ...ports, routing })
  }

  #ports(): Omit<HandlerPorts, "routing"> {
    const { mesh, link, process } = this
    const { names, streams, world } = mesh
    const publisher = {
      append: (subject: string, data: Uint8Array, _: undefined, extra: Record<string, string>) =>
        link.publish(() => streams.dead.append(subject, data, { id: extra["Nats-Msg-Id"] })),
    }
    const random = world.random.fork(`jitter ${this.name}`)
    return {
      names,
      clock: process.clock,
      guards: memoryGuards(),
      telemetry: noTelemetry,
      events: this.#events,
      deadLetters: new DeadLetterWriter(publisher as unknown as Publisher, names, (text) => text),
      random: () => random.next(),
      nodeId: this.name,
      onQuarantine: () => world.note(this.name, () => "quarantine begins or ends"),
      logs: {
        sessions: new SimLog(link, streams.sessions),
        steps: new WatchedLog(new SimLog(link, streams.steps), process, mesh.bill),
      },
      suspension: this.#suspension(),
      minds: simMinds(mesh, process),
      alone: new Alone(),
      openLane: (durable, handler, { batchMax, room }) => {
        const consumer = mesh.consumer(durable)
        if (consumer instanceof SimSharedConsumer) {
          if (room === undefined) throw new Error(`The lane of ${durable} says nothing of its room`)
          return new SimSharedLane(link, consumer, handler, { room, batchMax, ackWaitMs: SHARED_ACK_WAIT_MS })
        }
        const lane = new SimLane(link, consumer, handler)
        this.#lanes.push(lane)
        return lane
      },
    }
  }

  #suspension(): SuspensionPort {
    const { mesh, link } = this
    return {
      openInbox: (agent) => link.ask(() => mesh.openInbox(agent)),
      setTimer: (timer) => link.publish(() => mesh.timers.set(timer)),
      clearTimer: async () => {}, // a mesh may fail to: timers fire in vain then
      ask: (question) => link.publish(() => mesh.operator.asked(question)),
      answered: async () => {},
    }
  }
}
