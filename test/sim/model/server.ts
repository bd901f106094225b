import type { World } from "../world/world.js"
import { SimConsumer, type SimConsumerOptions } from "./consumer.js"
import { type SharedConsumerOptions, SimSharedConsumer } from "./shared-consumer.js"
import { SimStream, type SimStreamOptions } from "./stream.js"

type AnyConsumer = SimConsumer | SimSharedConsumer

/** A link as the server knows it. */
export interface Client {
  onServerDown(): void
  onServerUp(): void
}

/** The modelled nats-server: streams, consumers, and what a crash of it does. */
export class SimServer {
  #up = true
  readonly #streams = new Map<string, SimStream>()
  readonly #consumers = new Map<string, AnyConsumer>()
  readonly #clients = new Set<Client>()

  constructor(readonly world: World) {}

  get up(): boolean {
    return this.#up
  }

  get consumers(): IterableIterator<AnyConsumer> {
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

  addSharedConsumer(name: string, options: SharedConsumerOptions & { readonly stream: string }): SimSharedConsumer {
    const consumer = new SimSharedConsumer(this.world, this.stream(options.stream), name, options)
    this.#consumers.set(name, consumer)
    return consumer
  }

  /** The consumer of that name, if there is one. */
  findConsumer(name: string): AnyConsumer | undefined {
    return this.#consumers.get(name)
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
