import { setTimeout as delay } from "node:timers/promises"
import type { Bus } from "../../src/bus/bus.js"
import type { EventDraft } from "../../src/bus/event.js"

/** Events that flow until they are stopped. */
export interface Flow {
  readonly published: number
  /** @returns how many were published */
  stop(): Promise<number>
}

/** Publishes one event after the other, twenty at a time. @param everyMs how long it rests in between */
export function flow(bus: Bus, draft: (n: number) => EventDraft, everyMs: number): Flow {
  const state = { published: 0, flowing: true }
  const drafts = async function* () {
    for (let n = 0; state.flowing; n++) {
      if (n % 20 === 0) await delay(everyMs)
      yield draft(n)
    }
  }
  const done = (async () => {
    for await (const _ of bus.publishMany(drafts(), { producer: "cli" })) state.published += 1
  })()
  done.catch(() => {}) // told by stop()
  return {
    get published() {
      return state.published
    },
    async stop() {
      state.flowing = false
      await done
      return state.published
    },
  }
}
