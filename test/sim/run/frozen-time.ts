import type { World } from "../world/world.js"

/**
 * While a simulated world runs there is no other time: `new Date()` and `Date.now()` tell the world's, and a timer that is
 * not the world's is a mistake that ends the run. No turn of a run comes back to Node's event loop, so nobody else notices.
 */
export async function withoutRealTime<T>(world: World, work: () => Promise<T>): Promise<T> {
  const real = { Date, setTimeout, setInterval, random: Math.random, now: performance.now }
  const forbidden = (what: string) => (): never => {
    throw new Error(`The runtime of agents uses ${what}: it has to use its ports`)
  }
  globalThis.Date = worldDate(world)
  globalThis.setTimeout = forbidden("setTimeout") as unknown as typeof setTimeout
  globalThis.setInterval = forbidden("setInterval") as unknown as typeof setInterval
  Math.random = forbidden("Math.random")
  performance.now = forbidden("performance.now")
  try {
    return await work()
  } finally {
    globalThis.Date = real.Date
    globalThis.setTimeout = real.setTimeout
    globalThis.setInterval = real.setInterval
    Math.random = real.random
    performance.now = real.now
  }
}

function worldDate(world: World): DateConstructor {
  return class WorldDate extends Date {
    constructor(...given: [] | [number | string]) {
      super(given[0] ?? world.now)
    }

    static override now(): number {
      return world.now
    }
  } as DateConstructor
}
