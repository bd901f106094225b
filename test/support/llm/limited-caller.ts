import { systemClock } from "../../../src/agents/clock.js"
import { type Bus, openBus } from "../../../src/bus/bus.js"
import type { Draw, RateLimits } from "../../../src/gateways/broker/ports.js"
import { MeshRateLimiter } from "../../../src/node/llm/rate-limits.js"

/** How a {@link LimitedCaller} works. */
export interface CallerOptions {
  readonly nats: string
  readonly name: string
  /** Where it sends requests: an `ArrivalServer`. */
  readonly url?: string
  readonly account?: string
  readonly limits?: RateLimits
  /** What each request is estimated at. */
  readonly tokens?: number
  /** What it comes to; default: as estimated. */
  readonly used?: number
  readonly windowMs?: number
  readonly graceMs?: number
  /** How wrong its clock is. */
  readonly skewMs?: number
}

/** A node that keeps shared limits, on a connection of its own. */
export interface LimitedCaller {
  readonly limiter: MeshRateLimiter
  readonly bus: Bus
  /** Asks for a permit. */
  take(draw?: Partial<Draw>, signal?: AbortSignal): ReturnType<MeshRateLimiter["take"]>
  /** Sends as much as the limits allow, so many at a time, until it is told to stop. */
  send(atATime: number): void
  /** Ends sending; what waits is given up. */
  pause(): Promise<void>
  stop(): Promise<void>
}

export async function startCaller(options: CallerOptions): Promise<LimitedCaller> {
  const { nats, name, url = "", limits = {}, tokens = 0, used = tokens } = options
  const { account = "a", windowMs = 2_000, graceMs = 1_000, skewMs = 0 } = options
  const bus = await openBus({ url: nats, name, mesh: "test" })
  const closing = new AbortController()
  const clock = { ...systemClock, now: () => Date.now() + skewMs, steady: () => performance.now() + skewMs }
  const limiter = await MeshRateLimiter.open(bus, { signal: closing.signal, windowMs, graceMs, clock })
  const take: LimitedCaller["take"] = (draw = {}, signal = new AbortController().signal) =>
    limiter.take({ provider: "fake", account, tokens, ...draw }, limits, signal)
  let pausing = new AbortController()
  let sending: Promise<unknown> = Promise.resolve()
  const work = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        const permit = await take({}, signal)
        await fetch(`${url}/?from=${name}&tokens=${used}`, { method: "POST" })
        permit.used(used)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }
  return {
    limiter,
    bus,
    take,
    send: (atATime) => {
      pausing = new AbortController()
      const { signal } = pausing
      sending = Promise.all(Array.from({ length: atATime }, () => work(signal)))
      sending.catch(() => {})
    },
    pause: async () => {
      pausing.abort(new Error("paused"))
      await sending
    },
    stop: async () => {
      pausing.abort(new Error("paused"))
      closing.abort(new Error("closed"))
      await sending
      await bus.close()
    },
  }
}
