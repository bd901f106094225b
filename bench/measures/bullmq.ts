import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { BullmqTask } from "../children/bullmq.js"
import type { LoopResult } from "../loops/loop.js"
import { startChild } from "../support/child.js"
import { startRedis } from "../support/redis.js"
import { type Spread, spread } from "../support/stats.js"
import { INFLIGHT } from "./variants.js"

export interface BullmqOptions {
  readonly rounds: number
  readonly events: number
  readonly warmup: number
  readonly say: (line: string) => void
}

interface BullmqRate {
  readonly eventsPerSecond: Spread
  readonly cpuUsPerEvent: Spread
}

/** The same job on BullMQ, or why it was not measured. */
export type BullmqResult =
  | { readonly skipped: string }
  | { readonly bullmq: string; readonly redis: string; readonly fsync: Readonly<Record<string, BullmqRate>> }

const BULLMQ = "6.7.0"
const IOREDIS = "5.11.1"
const FSYNC = ["everysec", "always"] as const

/** Fetches BullMQ and Redis into a temporary folder and measures; takes the folder away again. */
export async function measureBullmq(options: BullmqOptions): Promise<BullmqResult> {
  const dir = mkdtempSync(join(tmpdir(), "murmur-bullmq-"))
  try {
    return await measureIn(dir, options)
  } catch (error) {
    return { skipped: (error as Error).message.split("\n")[0] ?? "unknown" }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function measureIn(dir: string, { rounds, events, warmup, say }: BullmqOptions): Promise<BullmqResult> {
  writeFileSync(join(dir, "package.json"), JSON.stringify({ private: true }))
  const packages = [`bullmq@${BULLMQ}`, `ioredis@${IOREDIS}`]
  await promisify(execFile)("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...packages], {
    cwd: dir,
  })
  const fsync: Record<string, BullmqRate> = {}
  let version = ""
  for (const when of FSYNC) {
    const redis = await startRedis(dir, when)
    version = redis.version
    const results: LoopResult[] = []
    try {
      for (let round = 1; round <= rounds; round++) {
        const task: BullmqTask = { dir, port: redis.port, events, warmup, inflight: INFLIGHT }
        const child = startChild("bullmq", task)
        try {
          const result = await child.next<LoopResult>(120_000)
          results.push(result)
          say(`  BullMQ, appendfsync ${when}: ${Math.round((result.events * 1_000) / result.ms)} events/s`)
        } finally {
          await child.stop()
        }
      }
    } finally {
      await redis.stop()
    }
    fsync[when] = {
      eventsPerSecond: spread(results.map((result) => (result.events * 1_000) / result.ms)),
      cpuUsPerEvent: spread(results.map((result) => result.cpuUs / result.events)),
    }
  }
  return { bullmq: BULLMQ, redis: version, fsync }
}
