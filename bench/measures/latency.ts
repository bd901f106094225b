import type { Bus } from "../../src/bus/bus.js"
import { Order, orderOf } from "../support/job.js"
import { type BenchMesh, createMesh, KEYS } from "../support/mesh.js"
import { percentile, ratio, type Spread, spread } from "../support/stats.js"
import { startVariant, type Variant } from "./variants.js"

export interface LatencyOptions {
  readonly url: string
  readonly otlpUrl: string
  /** What is compared with (a). */
  readonly variants: readonly Exclude<Variant, "a">[]
  readonly rounds: number
  /** Events a second for each loop, one at a time, evenly spaced. */
  readonly rate: number
  /** Events of a round that count. */
  readonly samples: number
  readonly say: (line: string) => void
}

/** Milliseconds from the call of publish to the moment at which an observer of the stream has the result. */
export interface Latency {
  readonly rate: number
  readonly samplesPerRound: number
  readonly variants: Partial<Record<Variant, { readonly p50: Spread; readonly p99: Spread }>>
  /** Compared round by round: `c/a`, `d/a`. */
  readonly p99Ratios: Readonly<Record<string, Spread>>
}

/** At first functions are not compiled yet, and an agent takes its partition over. */
const WARMUP = 200

/**
 * A pair of loops, (a) and another, serves at the same time, each on a mesh of its own: a stall of the disk or of the
 * machine, which is most of a p99, hits both.
 */
export async function measureLatency(options: LatencyOptions): Promise<Latency> {
  const found = new Map<string, number[]>()
  const note = (name: string, value: number): void => void found.set(name, [...(found.get(name) ?? []), value])
  for (let round = 1; round <= options.rounds; round++) {
    for (const variant of options.variants) {
      for (const [loop, latencies] of await runPair(["a", variant], options)) {
        const [p50, p99] = [percentile(latencies, 50), percentile(latencies, 99)]
        note(`p50 ${loop}`, p50)
        note(`p99 ${loop}`, p99)
        note(`p99 ${loop} with ${variant}`, p99)
        options.say(`  round ${round} (${loop}) p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
      }
    }
  }
  const values = (name: string): number[] => found.get(name) ?? []
  return {
    rate: options.rate,
    samplesPerRound: options.samples,
    variants: Object.fromEntries(
      (["a", ...options.variants] as const).map((loop) => [
        loop,
        { p50: spread(values(`p50 ${loop}`)), p99: spread(values(`p99 ${loop}`)) },
      ]),
    ),
    p99Ratios: Object.fromEntries(
      options.variants.map((variant) => [
        `${variant}/a`,
        ratio(values(`p99 ${variant} with ${variant}`), values(`p99 a with ${variant}`)),
      ]),
    ),
  }
}

async function runPair(pair: readonly Variant[], options: LatencyOptions): Promise<(readonly [Variant, number[]])[]> {
  const { url, otlpUrl, rate, samples } = options
  const loops = await Promise.all(
    pair.map(async (variant) => {
      const mesh = await createMesh(url)
      return { variant, mesh, child: startVariant(variant, { url, mesh: mesh.name }, { otlpUrl }) }
    }),
  )
  try {
    await Promise.all(loops.map(({ child }) => child.next())) // ready
    const total = WARMUP + samples
    const observers = await Promise.all(loops.map(({ mesh }) => observe(mesh.bus, total)))
    const sentAt = await publishAtRate(
      loops.map(({ mesh }) => mesh),
      total,
      rate,
    )
    const seenAt = await Promise.all(observers.map(({ all }) => all))
    return loops.map(({ variant }, loop) => {
      const latencies = (seenAt[loop] ?? []).map((at, n) => at - (sentAt[loop]?.[n] ?? Number.NaN))
      return [variant, latencies.slice(WARMUP)] as const
    })
  } finally {
    await Promise.all(loops.map(({ child }) => child.stop()))
    await Promise.all(loops.map(({ mesh }) => mesh.remove()))
  }
}

/** Notes when the result of each order came by. */
async function observe(bus: Bus, total: number): Promise<{ all: Promise<number[]> }> {
  const filter = bus.names.storedFilter("bench.confirmation")
  const consumer = await bus.link.client.consumers.get(bus.names.events, { filter_subjects: filter })
  const seenAt: number[] = []
  let missing = total
  const all = new Promise<number[]>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${missing} of ${total} results did not come`)), 30_000)
    void consumer.consume({
      callback: (message) => {
        const at = performance.now()
        const { data } = message.json<{ data: { n: number } }>()
        if (seenAt[data.n] !== undefined) return
        seenAt[data.n] = at
        missing -= 1
        if (missing > 0) return
        clearTimeout(late)
        resolve(seenAt)
      },
    })
  })
  all.catch(() => {}) // it is awaited when all is sent
  return { all }
}

/** Publishes order after order, to one mesh after the other, evenly spaced. @returns by mesh, when each was sent */
function publishAtRate(meshes: readonly BenchMesh[], total: number, rate: number): Promise<number[][]> {
  const sentAt: number[][] = meshes.map(() => [])
  const began = performance.now()
  let next = 0
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      if (performance.now() < began + (next * 1_000) / (rate * meshes.length)) return
      const [mesh, sent] = [meshes[next % meshes.length], sentAt[next % meshes.length]]
      next += 1
      if (mesh === undefined || sent === undefined) return
      const order = Order(orderOf(sent.length, KEYS))
      sent.push(performance.now())
      mesh.bus.publish(order, { producer: "feed" }).catch(reject)
      if (next < total * meshes.length) return
      clearInterval(timer)
      resolve(sentAt)
    }, 1)
  })
}
