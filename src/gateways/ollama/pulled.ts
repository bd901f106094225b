import { z } from "zod"
import type { PullProgress } from "../gateway.js"
import { readReply } from "../http/read-reply.js"

const Line = z.object({
  status: z.string(),
  digest: z.string().optional(),
  total: z.number().min(0).optional(),
  completed: z.number().min(0).optional(),
})

/** How far a pull is, over all layers: Ollama tells of one at a time. */
export class Pulled {
  readonly #layers = new Map<string, { readonly total: number; readonly completed: number }>()

  /** @throws Error when it is no line of a pull */
  add(line: unknown): PullProgress {
    const { status, digest, total, completed = 0 } = readReply(Line, line)
    if (digest !== undefined && total !== undefined) this.#layers.set(digest, { total, completed })
    if (this.#layers.size === 0) return { status }
    let totalBytes = 0
    let completedBytes = 0
    for (const layer of this.#layers.values()) {
      totalBytes += layer.total
      completedBytes += layer.completed
    }
    return { status, completedBytes, totalBytes }
  }
}
