import { createRequire } from "node:module"
import { join } from "node:path"
import type { LoopResult } from "../loops/loop.js"
import { confirm, type OrderData, orderOf } from "../support/job.js"
import { KEYS } from "../support/mesh.js"
import { readTask, tell, untilStopped } from "../support/parent.js"

/** The job on BullMQ: take a job, add one job with its result to another queue, complete. */
export interface BullmqTask {
  /** Where `bullmq` is installed: it is no dependency of murmur. */
  readonly dir: string
  readonly port: number
  readonly events: number
  readonly warmup: number
  readonly inflight: number
}

/** As much of BullMQ as is used here. */
interface Bullmq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    add(name: string, data: unknown, options?: object): Promise<unknown>
    addBulk(jobs: readonly { name: string; data: unknown }[]): Promise<unknown>
    close(): Promise<void>
  }
  readonly Worker: new (
    name: string,
    work: (job: { readonly id: string; readonly data: OrderData }) => Promise<void>,
    options: object,
  ) => { close(): Promise<void> }
}

const BULK = 1_000

const task = await readTask<BullmqTask>()
const stopped = untilStopped()
const { Queue, Worker } = createRequire(join(task.dir, "package.json"))("bullmq") as Bullmq
const connection = { host: "127.0.0.1", port: task.port }
const kept = { connection, defaultJobOptions: { removeOnComplete: true } }
const orders = new Queue("orders", kept)
const confirmations = new Queue("confirmations", kept)
for (let n = 0; n < task.events; n += BULK) {
  const size = Math.min(BULK, task.events - n)
  await orders.addBulk(Array.from({ length: size }, (_, i) => ({ name: "order", data: orderOf(n + i, KEYS) })))
}

let count = 0
let began = 0
let cpu = process.cpuUsage()
const worker = new Worker(
  "orders",
  async (job) => {
    count += 1
    if (count === task.warmup) {
      began = performance.now()
      cpu = process.cpuUsage()
    } else if (count === task.events) {
      const { user, system } = process.cpuUsage(cpu)
      const ms = performance.now() - began
      tell({ events: task.events - task.warmup, ms, cpuUs: user + system } satisfies LoopResult)
    }
    await confirmations.add("confirmation", confirm(job.data), { jobId: `result-${job.id}` })
  },
  { connection, concurrency: task.inflight },
)
await stopped
await worker.close()
await orders.close()
await confirmations.close()
process.exit(0)
