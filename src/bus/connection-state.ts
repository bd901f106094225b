import { setTimeout as delay } from "node:timers/promises"
import type { NatsConnection } from "@nats-io/transport-node"
import { MurmurError } from "../errors.js"

/** Waiting for a connection looks this often whether it is closed for good. */
const LOOK_MS = 1_000

/**
 * Whether a connection stands at this moment. The client drops what is asked while it does not, and what was under way
 * when it broke: each would wait for its whole timeout, seconds after the connection is back.
 */
export class ConnectionState {
  #connected = true
  readonly #onChange = new Set<() => void>()

  constructor(private readonly connection: NatsConnection) {
    void this.#watch()
  }

  get connected(): boolean {
    return this.#connected && !this.connection.isClosed()
  }

  /**
   * Asks the server for something as soon as there is a connection, and gives up when it breaks.
   *
   * @param signal gives up when it is aborted
   * @throws MurmurError `BUS_UNAVAILABLE` when the connection broke meanwhile, or it was aborted: it may have been done;
   *   `BUS_CLOSED`
   */
  async ask<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (!this.connected) {
      if (this.connection.isClosed()) throw closed()
      if (signal?.aborted === true) throw givenUp()
      await this.#change(LOOK_MS)
    }
    if (signal?.aborted === true) throw givenUp()
    let stop = (): void => {}
    let giveUp = (): void => {}
    const broken = new Promise<never>((_, reject) => {
      stop = () => reject(lost())
      giveUp = () => reject(givenUp())
      this.#onChange.add(stop)
      signal?.addEventListener("abort", giveUp, { once: true })
    })
    broken.catch(() => {}) // nobody's business once the work is done
    try {
      return await Promise.race([work(), broken])
    } finally {
      this.#onChange.delete(stop)
      signal?.removeEventListener("abort", giveUp)
    }
  }

  /** Calls back each time the connection breaks. @returns ends it */
  onBroken(tell: () => void): () => void {
    const changed = (): void => {
      if (!this.#connected) tell()
    }
    this.#onChange.add(changed)
    return () => this.#onChange.delete(changed)
  }

  async #change(ms: number): Promise<void> {
    const stopping = new AbortController()
    const stop = (): void => stopping.abort()
    this.#onChange.add(stop)
    await delay(ms, undefined, { signal: stopping.signal }).catch(() => {})
    this.#onChange.delete(stop)
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type !== "disconnect" && type !== "reconnect") continue
      this.#connected = type === "reconnect"
      for (const tell of [...this.#onChange]) tell()
    }
    for (const tell of [...this.#onChange]) tell()
  }
}

function lost(): MurmurError {
  return new MurmurError("The connection to the bus was lost before the server answered", { code: "BUS_UNAVAILABLE" })
}

function givenUp(): MurmurError {
  return new MurmurError("Nobody waits for the server's answer any more", { code: "BUS_UNAVAILABLE" })
}

function closed(): MurmurError {
  return new MurmurError("Cannot ask the server: the connection to the bus is closed", { code: "BUS_CLOSED" })
}
