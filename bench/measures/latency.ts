import type { Bus } from "../../src/bus/bus.js"
import { Order, orderOf } from "../support/job.js"
import { createMesh, KEYS } from "../support/mesh.js"
import { percentile, ratio, type Spread, spread } from "../support/stats.js"
import { startVariant, type Variant } from "./variants.js"

export interface LatencyOptions {
  readonly url: string
  readonly otlpUrl: string
  readonly variants: readonly Variant[]
  readonly rounds: number
  /** Events a second, one at a time, evenly spaced. */
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

export async function measureLatency(options: LatencyOptions): Promise<Latency> {
  const p50s = new Map<Variant, number[]>(options.variants.map((variant) => [variant, []]))
  const p99s = new Map<Variant, number[]>(options.variants.map((variant) => [variant, []]))
  for (let round = 1; round <= options.rounds; round++) {
    for (const variant of options.variants) {
      const latencies = await runOnce(variant, options)
      const [p50, p99] = [percentile(latencies, 50), percentile(latencies, 99)]
      p50s.get(variant)?.push(p50)
      p99s.get(variant)?.push(p99)
      options.say(`  round ${round} (${variant}) p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    }
  }
  const of = (variant: Variant): number[] => p99s.get(variant) ?? []
  return {
    rate: options.rate,
    samplesPerRound: options.samples,
    variants: Object.fromEntries(
      options.variants.map((variant) => [variant, { p50: spread(p50s.get(variant) ?? []), p99: spread(of(variant)) }]),
    ),
    p99Ratios: Object.fromEntries(
      options.variants
        .filter((variant) => variant === "c" || variant === "d")
        .map((variant) => [`${variant}/a`, ratio(of(variant), of("a"))]),
    ),
  }
}

async function runOnce(variant: Variant, { url, otlpUrl, rate, samples }: LatencyOptions): Promise<number[]> {
  const mesh = await createMesh(url)
  const child = startVariant(variant, { url, mesh: mesh.name }, { otlpUrl })
  try {
    await child.next() // ready
    const total = WARMUP + samples
    const seenAt = await observe(mesh.bus, total)
    const sentAt = await publishAtRate(mesh.bus, total, rate)
    const seen = await seenAt.all
    return seen.slice(WARMUP).map((at, index) => at - (sentAt[WARMUP + index] ?? Number.NaN))
  } finally {
    await child.stop()
    await mesh.remove()
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
  return { all }
}

function publishAtRate(bus: Bus, total: number, rate: number): Promise<number[]> {
  const sentAt: number[] = []
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      if (performance.now() < began + (sentAt.length * 1_000) / rate) return
      const order = Order(orderOf(sentAt.length, KEYS))
      sentAt.push(performance.now())
      bus.publish(order, { producer: "feed" }).catch(reject)
      if (sentAt.length < total) return
      clearInterval(timer)
      resolve(sentAt)
    }, 1)
  })
}
