import { once } from "node:events"
import { readFileSync } from "node:fs"
import { WebSocket } from "ws"
import { until } from "../../support/mesh.js"
import type { NodeProcess } from "../../support/node-process.js"

/** Environment with which a node lets itself be looked into, by {@link inspect}. */
export const INSPECTABLE = { NODE_OPTIONS: "--inspect=127.0.0.1:0" }

/** What a process holds after a full collection. */
export interface Held {
  readonly heapBytes: number
  /** What keeps it alive, by kind: sockets, timers, files. */
  readonly resources: Readonly<Record<string, number>>
}

const READ = `JSON.stringify({
  heapBytes: process.memoryUsage().heapUsed,
  resources: process.getActiveResourcesInfo().reduce((sum, kind) => ({ ...sum, [kind]: (sum[kind] ?? 0) + 1 }), {}),
})`

/** Collects a node's garbage and reads what is left. */
export async function inspect(node: NodeProcess): Promise<Held> {
  let url: string | undefined
  await until("the node can be looked into", () => {
    url = /ws:\/\/\S+/.exec(node.stderr())?.[0]
    return url !== undefined
  })
  const socket = new WebSocket(url ?? "")
  await once(socket, "open")
  try {
    await ask(socket, "HeapProfiler.collectGarbage")
    await ask(socket, "HeapProfiler.collectGarbage")
    const answer = await ask(socket, "Runtime.evaluate", { expression: READ })
    return JSON.parse((answer as { result: { value: string } }).result.value) as Held
  } finally {
    socket.terminate()
  }
}

let asked = 0

async function ask(socket: WebSocket, method: string, params: object = {}): Promise<unknown> {
  const id = ++asked
  socket.send(JSON.stringify({ id, method, params }))
  for (;;) {
    const [data] = await once(socket, "message")
    const { id: of, result } = JSON.parse(String(data)) as { id?: number; result?: unknown }
    if (of === id) return result
  }
}

/** Memory that a process has, as the system sees it, in MiB. 0 where the system does not tell. */
export function residentMb(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024
  } catch {
    return 0
  }
}
