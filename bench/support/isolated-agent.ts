import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"

export const Asked = defineEvent("bench.asked", z.object({ calls: z.number() }))
export const Answered = defineEvent("bench.answered", z.object({ sum: z.number() }))

/** Does next to nothing, in a worker: what is left is the way there and back. */
export const isolated = defineAgent("isolated", {
  on: [Asked],
  emits: [Answered],
  isolation: "worker",
  concurrency: 1,
  async handle(event, ctx) {
    let sum = 0
    for (let n = 0; n < event.data.calls; n++) sum += await ctx.run(`call ${n}`, () => n)
    ctx.emit(Answered({ sum }))
  },
})
