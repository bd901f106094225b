import type { World } from "../world/world.js"
import { SimConsumer, type SimConsumerOptions } from "./consumer.js"
import { SimStream, type SimStreamOptions } from "./stream.js"

/** A link as the server knows it. */
export interface Client {
  onServerDown(): void
  onServerUp(): void
}

/** The modelled nats-server: streams, consumers, and what a crash of it does. */
export class SimServer {
  #up = true
  readonly #streams = new Map<string, SimStream>()
  readonly #consumers = new Map<string, SimConsumer>()
  readonly #clients = new Set<Client>()

  constructor(readonly world: World) {}

  get up(): boolean {
    return this.#up
  }

  get consumers(): IterableIterator<SimConsumer> {
    return this.#consumers.values()
  }

  addStream(name: string, options?: SimStreamOptions): SimStream {
    const stream = new SimStream(name, () => this.world.now, options)
    this.#streams.set(name, stream)
    return stream
  }

  stream(name: string): SimStream {
    const stream = this.#streams.get(name)
    if (stream === undefined) throw new Error(`The modelled server has no stream ${name}`)
    return stream
  }

  addConsumer(name: string, options: SimConsumerOptions): SimConsumer {
    const consumer = new SimConsumer(this.world, this.stream(options.stream), name, options)
    this.#consumers.set(name, consumer)
    return consumer
  }

  findConsumer(name: string): SimConsumer | undefined {
    return this.#consumers.get(name)
  }

  consumer(name: string): SimConsumer {
    const consumer = this.#consumers.get(name)
    if (consumer === undefined) throw new Error(`The modelled server has no consumer ${name}`)
    return consumer
  }

  /** A message was stored: whoever waits for it is handed it. */
  stored(stream: SimStream): void {
    for (const consumer of this.#consumers.values()) if (consumer.stream === stream) consumer.pump()
  }

  connect(client: Client): void {
    this.#clients.add(client)
  }

  disconnect(client: Client): void {
    this.#clients.delete(client)
  }

  /**
   * The process is killed and started again. What is stored stays; the newest acks are forgotten, since the server writes
   * them lazily; no pin, no connection and no request survives.
   */
  crash(options: { downMs: number; forgetsMs: number }): void {
    if (!this.#up) return
    this.world.note(
      "server",
      () => `CRASH, down ${Math.round(options.downMs)} ms, forgets acks of ${Math.round(options.forgetsMs)} ms`,
    )
    this.#up = false
    for (const client of this.#clients) client.onServerDown()
    for (const consumer of this.#consumers.values()) consumer.restart(options.forgetsMs)
    this.world.after(options.downMs, () => {
      this.world.note("server", () => "up again")
      this.#up = true
      for (const client of this.#clients) client.onServerUp()
    })
  }
}
