import type { MemoryReading, MemoryTask } from "../children/memory.js"
import { startChild } from "../support/child.js"
import { createMesh, preload } from "../support/mesh.js"

/** What one idle session of an agent costs the node's process, in bytes: after a collection, over what it used before. */
export interface PerSession {
  readonly keys: number
  readonly heapBytes: number
  /** Of the process as the system sees it; swings with what the allocator gives back. */
  readonly rssBytes: number
}

export interface Memory {
  readonly handle: readonly PerSession[]
  /** A `react` agent's key with one event in its open window, and after the window has closed. */
  readonly react: { readonly open: PerSession; readonly closed: PerSession } | undefined
}

export interface MemoryOptions {
  readonly url: string
  readonly handleKeys: readonly number[]
  readonly reactKeys: number
  readonly say: (line: string) => void
}

export async function measureMemory({ url, handleKeys, reactKeys, say }: MemoryOptions): Promise<Memory> {
  const handle: PerSession[] = []
  for (const keys of handleKeys) {
    const [idle] = await runOnce(url, { kind: "handle", keys })
    if (idle !== undefined) handle.push(idle)
    say(`  handler agent, ${keys} keys: ${idle?.heapBytes.toFixed(0)} bytes of heap each`)
  }
  const [open, closed] = await runOnce(url, { kind: "react", keys: reactKeys })
  say(`  react agent, ${reactKeys} keys: ${open?.heapBytes.toFixed(0)} open, ${closed?.heapBytes.toFixed(0)} closed`)
  return { handle, react: open !== undefined && closed !== undefined ? { open, closed } : undefined }
}

/** One process: read before any key, then once (handle) or twice (react: open, closed) with all of them. */
async function runOnce(url: string, task: Pick<MemoryTask, "kind" | "keys">): Promise<PerSession[]> {
  const mesh = await createMesh(url)
  const child = startChild("memory", { ...task, url, mesh: mesh.name, warmEvents: WARM_EVENTS } satisfies MemoryTask, {
    nodeOptions: ["--expose-gc"],
  })
  try {
    await child.next() // ready
    await preload(mesh.bus, WARM_EVENTS, WARM_KEYS, FIXED_TIME)
    const before = await child.next<MemoryReading>()
    await preload(mesh.bus, task.keys, task.keys, FIXED_TIME)
    const readings = [await child.next<MemoryReading>(120_000)]
    if (task.kind === "react") readings.push(await child.next<MemoryReading>(120_000))
    return readings.map(({ heap, rss }) => ({
      keys: task.keys,
      heapBytes: (heap - before.heap) / (task.keys - WARM_KEYS),
      rssBytes: (rss - before.rss) / (task.keys - WARM_KEYS),
    }))
  } finally {
    await child.stop()
    await mesh.remove()
  }
}

/** Enough for functions to be compiled and for buffers to have their size, from keys that come again. */
const WARM_EVENTS = 5_000
const WARM_KEYS = 10
/** All events lie in one window. */
const FIXED_TIME = "2026-01-01T00:00:00.000Z"
