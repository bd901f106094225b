import { writeFileSync } from "node:fs"
import { setPriority } from "node:os"
import { Worker } from "node:worker_threads"

/** Beside the heap: code, stacks, young objects, what the collector has not given back. */
const SLACK_MB = 64
const MB = 2 ** 20
/** A third of what a process of normal priority gets, where processors are short. */
const NICE = 5

/**
 * Runs in a thread of its own, since the handler may keep the main one for ever. V8 bounds the heap; this bounds what
 * is beside it (buffers), and ends a worker whose node is gone.
 */
const SCRIPT = `
const { workerData } = require("node:worker_threads")
const { writeSync } = require("node:fs")
setInterval(() => {
  const rss = process.memoryUsage.rss()
  if (process.ppid === workerData.nodePid && rss <= workerData.rssMax) return
  try {
    if (rss > workerData.rssMax) writeSync(2, "FATAL ERROR: out of memory: the process takes " + rss + " bytes\\n")
  } finally {
    process.kill(process.pid, "SIGKILL")
  }
}, 100)
`

/** Watches this process from now on. */
export function startWatchdog({ memoryMbMax, nodePid }: { memoryMbMax: number; nodePid: number }): void {
  const rssMax = process.memoryUsage.rss() + (memoryMbMax + SLACK_MB) * MB
  new Worker(SCRIPT, { eval: true, workerData: { nodePid, rssMax } }).unref()
  giveWay()
}

/** When processors or memory are short, they are its node's first, which heartbeats and serves all other agents. */
function giveWay(): void {
  try {
    setPriority(NICE)
    if (process.platform === "linux") writeFileSync("/proc/self/oom_score_adj", "1000")
  } catch {
    // a hardened system may not allow it
  }
}
