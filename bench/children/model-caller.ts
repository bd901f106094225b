import { createBroker } from "../../src/gateways/broker/create-broker.js"
import { openai } from "../../src/gateways/openai/openai.js"
import { readTask, tell, untilStopped } from "../support/parent.js"
import { percentile } from "../support/stats.js"

/** A process that asks a model again and again: by the provider's own library, or through murmur's broker. */
export interface CallerTask {
  readonly baseURL: string
  readonly by: "sdk" | "broker"
  readonly warmup: number
  /** Asked one after the other. */
  readonly alone: number
  /** Asked side by side, so many at a time. */
  readonly together: number
  readonly atATime: number
}

/** What was measured in it. */
export interface CallerResult {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly callsPerSecond: number
  readonly cpuUsPerCall: number
}

const QUESTION = "Why did the run of acme/web at 12:04 fail? Its log: ".padEnd(480, "error: expected 3, got 4. ")

const task = await readTask<CallerTask>()
const stopped = untilStopped()
const ask = task.by === "sdk" ? await bySdk(task.baseURL) : byBroker(task.baseURL)

for (let n = 0; n < task.warmup; n++) await ask()
const samples: number[] = []
for (let n = 0; n < task.alone; n++) {
  const began = performance.now()
  await ask()
  samples.push(performance.now() - began)
}
await sideBySide(task.warmup)
const cpu = process.cpuUsage()
const began = performance.now()
await sideBySide(task.together)
const ms = performance.now() - began
const used = process.cpuUsage(cpu)
tell({
  p50Ms: percentile(samples, 50),
  p99Ms: percentile(samples, 99),
  callsPerSecond: (task.together * 1_000) / ms,
  cpuUsPerCall: (used.user + used.system) / task.together,
} satisfies CallerResult)
await stopped
process.exit(0) // sockets are kept alive

async function sideBySide(calls: number): Promise<void> {
  let left = calls
  const lane = async (): Promise<void> => {
    while (left-- > 0) await ask()
  }
  await Promise.all(Array.from({ length: task.atATime }, lane))
}

async function bySdk(baseURL: string): Promise<() => Promise<unknown>> {
  const { OpenAI } = await import("openai")
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 })
  const messages = [{ role: "user" as const, content: QUESTION }]
  return () => client.chat.completions.create({ model: "bench", messages })
}

function byBroker(baseURL: string): () => Promise<unknown> {
  const broker = createBroker({ gateways: [openai({ provider: "bench", baseURL, apiKey: "none" })] })
  const { signal } = new AbortController()
  const request = { models: ["bench/bench"], messages: [{ role: "user" as const, content: QUESTION }], options: {} }
  return () => broker.complete(request, { signal })
}
