import { isMurmurError, MurmurError } from "../../../src/errors.js"
import type { Process } from "../world/process.js"
import type { Random } from "../world/random.js"
import type { Client, SimServer } from "./server.js"

/** How the network between a process and the server is. */
export interface LinkOptions {
  /** One way, in milliseconds. Default 0.1 to 3. */
  readonly latencyMs?: readonly [number, number]
  /** How likely the answer to a publish is lost, so that the client sends it again. Default 0. */
  readonly answerLoss?: number
  /** How likely one message takes up to a hundred times as long. Default 0. */
  readonly slow?: number
}

interface Publish {
  readonly effect: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  settled: boolean
  /** How often it was sent. */
  attempts: number
}

/** An unanswered publish is sent again after so long, four times, and then after twice as long each time. */
const RESEND_MS = 3_000
const STEADY_ATTEMPTS = 3
const RESEND_MS_MAX = 30_000
const RECONNECT_MS = [50, 600] as const

/**
 * One process's connection to the server. What it sends arrives in order, and so does what the server sends. A break
 * loses what is on its way, in both directions. Publishes are then sent again, like the real publisher does, so that the
 * server may see one twice; questions fail, as the real client's do.
 */
export class Link implements Client {
  readonly #random: Random
  readonly #latency: readonly [number, number]
  readonly #unanswered = new Set<Publish>()
  readonly #onChange: (() => void)[] = []
  readonly #onBreak: (() => void)[] = []
  readonly #onReconnect: (() => void)[] = []
  /** Fail the questions that are on their way. */
  readonly #asked = new Set<() => void>()
  #waitingForLink: (() => void)[] = []
  #connected: boolean
  #closed = false
  /** Of the connection: what was sent on an older one does not arrive. */
  #epoch = 0
  #cutOff = Number.POSITIVE_INFINITY
  #upAt = 0
  #downAt = 0
  #stalledUntil = 0

  constructor(
    readonly process: Process,
    readonly server: SimServer,
    private readonly options: LinkOptions = {},
  ) {
    this.#random = process.world.random.fork(`link ${process.name}`)
    this.#latency = options.latencyMs ?? [0.1, 3]
    this.#connected = server.up
    server.connect(this)
    process.onChange(() => this.#processChanged())
  }

  /** Whether the server hears of this process at this moment. */
  get heard(): boolean {
    return this.#connected && !this.#closed && this.process.alive && !this.process.paused && !this.stalled
  }

  get connected(): boolean {
    return this.#connected && !this.#closed
  }

  get stalled(): boolean {
    return this.#stalledUntil > this.#now
  }

  /** Told when {@link heard} may have changed. */
  onChange(tell: () => void): void {
    this.#onChange.push(tell)
  }

  /** Told when the connection breaks, as the client tells: inside the process. */
  onBreak(tell: () => void): void {
    this.#onBreak.push(tell)
  }

  /** Told when the connection stands again. */
  onReconnect(tell: () => void): void {
    this.#onReconnect.push(tell)
  }

  /** Something that is sent until the server answers, over breaks of the connection. */
  publish<T>(effect: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const publish: Publish = {
        effect,
        resolve: resolve as (value: unknown) => void,
        reject,
        settled: false,
        attempts: 0,
      }
      this.#unanswered.add(publish)
      if (this.connected) this.#transmit(publish)
    })
  }

  /** Something that is asked once there is a connection, and fails with `BUS_UNAVAILABLE` when it breaks meanwhile. */
  ask<T>(effect: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const send = (): void => {
        const broken = (): void => reject(unavailable())
        this.#asked.add(broken)
        this.#up(() => {
          const { ok, value } = attempt(effect)
          this.down(() => {
            this.#asked.delete(broken)
            if (ok) resolve(value as T)
            else reject(value as Error)
          })
        })
      }
      if (this.connected) send()
      else this.#waitingForLink.push(send)
    })
  }

  /** Something that is said and not answered: an ack. Lost when there is no connection. */
  say(effect: () => void): void {
    if (this.connected) this.#up(effect)
  }

  /** From the server into the process. */
  down(arrive: () => void): void {
    const epoch = this.#epoch
    this.#downAt = Math.max(this.#now + this.#delay(), this.#stalledUntil, this.#downAt)
    this.process.world.at(this.#downAt, () => {
      if (epoch === this.#epoch && !this.#closed) this.process.enter(arrive)
    })
  }

  /** The network swallows nothing, but nothing comes through for a while. */
  stall(ms: number): void {
    if (!this.heard) return
    this.process.world.note(this.process.name, () => `STALL of its connection for ${Math.round(ms)} ms`)
    this.#stalledUntil = this.#now + ms
    this.#changed()
    this.process.world.after(ms, () => this.#changed())
  }

  /** The connection breaks, and stands again some time later. */
  break(): void {
    if (!this.#connected || this.#closed) return
    this.process.world.note(this.process.name, () => "its connection BREAKS")
    this.#disconnect()
    this.#reconnectSoon()
  }

  /** Ends it for good. */
  close(): void {
    this.#closed = true
    this.server.disconnect(this)
    this.#changed()
  }

  onServerDown(): void {
    if (this.#connected) this.#disconnect()
  }

  onServerUp(): void {
    this.#reconnectSoon()
  }

  get #now(): number {
    return this.process.world.now
  }

  #processChanged(): void {
    if (!this.process.alive) {
      // of what it had just sent, what comes later than a moment from now never left
      this.#cutOff = this.#now + this.#random.between(0, this.#latency[1])
      this.server.disconnect(this)
    }
    this.#changed()
  }

  #disconnect(): void {
    this.#connected = false
    this.#epoch += 1
    this.#stalledUntil = 0
    this.#changed()
    this.process.enter(() => {
      for (const tell of this.#onBreak) tell()
      for (const fail of this.#asked) fail()
      this.#asked.clear()
    })
  }

  #reconnectSoon(): void {
    this.process.world.after(this.#random.between(...RECONNECT_MS), () => {
      if (this.#connected || this.#closed || !this.server.up) return
      this.#connected = true
      this.#changed()
      this.process.enter(() => this.#resendAll())
    })
  }

  #resendAll(): void {
    if (!this.connected) return
    for (const publish of this.#unanswered) this.#transmit(publish)
    for (const send of this.#waitingForLink.splice(0)) send()
    for (const tell of this.#onReconnect) tell()
  }

  #transmit(publish: Publish): void {
    const answerLost = this.#random.chance(this.options.answerLoss ?? 0)
    const resendMs = Math.min(RESEND_MS_MAX, RESEND_MS * 2 ** Math.max(0, publish.attempts - STEADY_ATTEMPTS))
    publish.attempts += 1
    if (answerLost || this.#stalledUntil - this.#now > resendMs) {
      this.process.clock.after(resendMs, () => {
        if (!publish.settled && this.connected) this.#transmit(publish)
      })
    }
    this.#up(() => {
      const { ok, value } = attempt(publish.effect)
      if (answerLost) {
        this.process.world.note(this.process.name, () => "the answer to a publish gets lost")
        return
      }
      this.down(() => {
        if (publish.settled) return
        publish.settled = true
        this.#unanswered.delete(publish)
        if (ok) publish.resolve(value)
        else publish.reject(value as Error)
      })
    })
  }

  #up(effect: () => void): void {
    const epoch = this.#epoch
    this.#upAt = Math.max(this.#now + this.#delay(), this.#stalledUntil, this.#upAt)
    this.process.world.at(this.#upAt, () => {
      if (epoch === this.#epoch && this.server.up && this.#now <= this.#cutOff) effect()
    })
  }

  #delay(): number {
    const [least, most] = this.#latency
    const ms = this.#random.between(least, most)
    return this.#random.chance(this.options.slow ?? 0) ? ms * this.#random.between(1, 100) : ms
  }

  #changed(): void {
    for (const tell of this.#onChange) tell()
  }
}

/** A refusal of the server is an answer; anything else is a mistake of the model, and ends the run. */
function attempt(effect: () => unknown): { ok: boolean; value: unknown } {
  try {
    return { ok: true, value: effect() }
  } catch (error) {
    if (isMurmurError(error)) return { ok: false, value: error }
    throw error
  }
}

function unavailable(): MurmurError {
  return new MurmurError("The connection to the bus was lost before the server answered", { code: "BUS_UNAVAILABLE" })
}
