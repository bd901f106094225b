import { expect } from "vitest"
import { give, range, share } from "./node.js"
import type { Rig } from "./rig.js"

/** What the runtime relies on of a consumer that all nodes share. */
export const SHARED: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "each message goes to one of those who have room for it": async (rig) => {
    await rig.deploy({ shared: true })
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const [first, second] = [share(a, 100, { ack: true }), share(b, 2)]
    await give(a, range(1, 30))
    await rig.until("all have come", () => first.numbers.length + second.numbers.length === 30)
    expect([...first.numbers, ...second.numbers].toSorted((one, other) => one - other)).toEqual(range(1, 30))
    expect(second.numbers.length).toBeLessThanOrEqual(2)
    expect(new Set([...first.counts, ...second.counts])).toEqual(new Set([1]))
  },
  "a node is handed no more than it has room for": async (rig) => {
    await rig.deploy({ shared: true })
    const client = await rig.client("a")
    await give(client, range(1, 6))
    const node = share(client, 2)
    await rig.until("two have come", () => node.numbers.length === 2)
    await rig.delay(200)
    expect(node.numbers).toEqual([1, 2])
    node.ack(1)
    await rig.until("one more has come", () => node.numbers.length === 3)
    expect(node.numbers).toEqual([1, 2, 3])
  },
  "what a dead node held comes to another after the ack wait, and it is told that it is not the first": async (rig) => {
    await rig.deploy({ shared: true })
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const first = share(a, 10)
    await give(b, range(1, 3))
    await rig.until("all have come", () => first.numbers.length === 3)
    await a.kill()
    const second = share(b, 10, { ack: true })
    await rig.until("they have come again", () => second.numbers.length === 3)
    expect([second.numbers.toSorted(), second.counts]).toEqual([
      [1, 2, 3],
      [2, 2, 2],
    ])
  },
  "what is handed back comes again: at once, or after a while": async (rig) => {
    await rig.deploy({ shared: true, ackWaitMs: 30_000 })
    const client = await rig.client("a")
    const node = share(client, 10)
    await give(client, [1, 2])
    await rig.until("both have come", () => node.numbers.length === 2)
    node.held[0]?.receipt().giveBack?.(400)
    node.held[1]?.receipt().giveBack?.()
    await rig.until("one has come again", () => node.numbers.length === 3)
    expect(node.numbers[2]).toBe(2)
    await rig.until("the other one has", () => node.numbers.length === 4)
    expect([node.numbers, node.counts]).toEqual([
      [1, 2, 2, 1],
      [1, 1, 2, 2],
    ])
  },
  "what is worked on does not come again; what is not, does": async (rig) => {
    await rig.deploy({ shared: true })
    const client = await rig.client("a")
    const node = share(client, 10)
    await give(client, [1, 2])
    await rig.until("both have come", () => node.numbers.length === 2)
    for (let i = 0; i < 4; i++) {
      await rig.delay(400)
      node.held[1]?.working()
    }
    await rig.until("one has come again", () => node.numbers.length > 2)
    expect(new Set(node.numbers.slice(2))).toEqual(new Set([1]))
  },
  "a node that stops is told that what has not begun is not its own": async (rig) => {
    await rig.deploy({ shared: true })
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const first = share(a, 1)
    await give(b, range(1, 4))
    await rig.until("one has come", () => first.numbers.length === 1)
    await first.lane.stop()
    expect(first.calls).toEqual(["lost"])
    const second = share(b, 10, { ack: true })
    await rig.until("the others go elsewhere", () => second.numbers.length >= 3)
    expect(first.numbers).toEqual([1])
  },
  "over a kill of the server nothing is lost": async (rig) => {
    await rig.deploy({ shared: true })
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const node = share(a, 5, { ack: true })
    await give(b, range(1, 10))
    await rig.until("they have come", () => node.numbers.length >= 10)
    await rig.killServer()
    await give(b, range(11, 15))
    await rig.until("the new ones have come", () => new Set(node.numbers).size === 15)
  },
}
