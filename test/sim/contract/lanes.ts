import { expect } from "vitest"
import { give, pull, range, type Seen } from "./node.js"
import type { Rig } from "./rig.js"

/** What the runtime relies on of a consumer that it pulls. */
export const LANES: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "all comes once and in order, what is there and what is published then": async (rig) => {
    await rig.deploy()
    const client = await rig.client("a")
    await give(client, range(1, 20))
    const node = pull(client, { ack: true })
    await rig.until("the first have come", () => node.numbers.length === 20)
    await give(client, range(21, 40))
    await rig.until("all have come", () => node.numbers.length >= 40)
    expect([node.numbers, node.calls]).toEqual([range(1, 40), ["owned 0"]])
  },
  "one of two nodes gets it all; when that one stops and gives it back, the other goes on behind the floor": async (
    rig,
  ) => {
    await rig.deploy()
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const first = pull(a)
    await give(a, range(1, 10))
    await rig.until("the first has all", () => first.numbers.length === 10)
    const second = pull(b)
    first.ack(1, 2, 3)
    await give(a, [11])
    await rig.until("the first has all", () => first.numbers.length === 11)
    expect([first.lane.owned, second.lane.owned, second.numbers]).toEqual([true, false, []])
    await first.lane.stop()
    await first.lane.release()
    await give(b, [12])
    await rig.until("the second has the rest", () => second.numbers.length === 9)
    expect([second.numbers, second.calls, first.calls]).toEqual([range(4, 12), ["owned 3"], ["owned 0", "lost"]])
  },
  "one that holds what it owns is handed nothing more and stays the owner, however long; then the next goes on at once":
    async (rig) => {
      await rig.deploy()
      const [a, b] = [await rig.client("a"), await rig.client("b")]
      const first = pull(a)
      await give(a, range(1, 4))
      await rig.until("the first has all", () => first.numbers.length === 4)
      const second = pull(b, { ack: true })
      first.lane.hold?.()
      first.ack(1, 2)
      await give(b, range(5, 8))
      await rig.delay(4_500) // longer than it would stay the owner if it did not pull
      expect([first.numbers, first.lane.owned, second.numbers]).toEqual([range(1, 4), true, []])
      first.ack(3, 4)
      await rig.delay(50)
      await first.lane.stop()
      await first.lane.release()
      await rig.until("the second has the rest", () => second.numbers.length === 4)
      expect([second.numbers, second.calls, first.calls]).toEqual([range(5, 8), ["owned 4"], ["owned 0", "lost"]])
    },
  "one that held goes on with what it has not been handed, and with what it has not acked": async (rig) => {
    await rig.deploy()
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const node = pull(a)
    await give(a, range(1, 4))
    await rig.until("it has all", () => node.numbers.length === 4)
    node.lane.hold?.()
    node.ack(1, 2, 4)
    await give(b, range(5, 6))
    await rig.delay(100)
    node.lane.resume?.()
    await rig.until("the rest has come", () => node.numbers.length >= 8)
    expect([node.numbers, node.calls]).toEqual([
      [1, 2, 3, 4, 3, 4, 5, 6],
      ["owned 0", "lost", "owned 2"],
    ])
  },
  "one that holds and owns nothing takes nothing": async (rig) => {
    await rig.deploy()
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const node = pull(a)
    node.lane.hold?.()
    await rig.delay(100)
    await give(b, range(1, 3))
    await rig.delay(500)
    expect([node.numbers, node.calls]).toEqual([[], []])
    node.lane.resume?.()
    await rig.until("they have come", () => node.numbers.length === 3)
  },
  "what was acked above the floor comes again after a takeover": async (rig) => {
    await rig.deploy()
    const client = await rig.client("a")
    const node = pull(client)
    await give(client, range(1, 6))
    await rig.until("all have come", () => node.numbers.length === 6)
    node.ack(1, 3, 5)
    await client.publish(7)
    await rig.until("the server has the acks", () => node.numbers.length === 7)
    await client.breakConnection()
    await give(client, [8])
    await rig.until("the rest has come again", () => node.numbers.length === 14)
    expect([node.numbers.slice(7), node.calls.at(-1)]).toEqual([range(2, 8), "owned 1"])
  },
  "no more is handed out than may be unacked": async (rig) => {
    await rig.deploy({ ackPendingMax: 3 })
    const client = await rig.client("a")
    const node = pull(client)
    await give(client, range(1, 8))
    await rig.until("three have come", () => node.numbers.length === 3)
    await rig.delay(200)
    expect(node.numbers).toEqual([1, 2, 3])
    node.ack(2)
    await rig.until("one more has come", () => node.numbers.length === 4)
    expect(node.numbers).toEqual([1, 2, 3, 4])
  },
  "a broken connection ends the ownership; once it stands, what was not acked comes again before anything newer":
    async (rig) => {
      await rig.deploy()
      const [client, other] = [await rig.client("a"), await rig.client("b")]
      const node = pull(client)
      await give(other, range(1, 6))
      await rig.until("all have come", () => node.numbers.length === 6)
      node.ack(1, 2)
      await rig.delay(50)
      await client.breakConnection()
      await rig.until("it knows", () => node.calls.includes("lost"))
      await give(other, range(7, 8))
      await rig.until("all have come again", () => node.numbers.length >= 12)
      expect([node.numbers.slice(6), node.calls]).toEqual([range(3, 8), ["owned 0", "lost", "owned 2"]])
    },
  "what a dead node held goes to another one, also when it held all that may be unacked": async (rig) => {
    await rig.deploy({ ackPendingMax: 4 })
    const [a, b, c] = [await rig.client("a"), await rig.client("b"), await rig.client("c")]
    const first = pull(a)
    await give(c, range(1, 6))
    await rig.until("it holds four", () => first.numbers.length === 4)
    const second = pull(b, { ack: true })
    await a.kill()
    await rig.until("the other has all", () => second.numbers.length === 6)
    expect(second.numbers).toEqual(range(1, 6))
  },
  "what is not acked in time comes again, behind what is newer; what is worked on does not": async (rig) => {
    await rig.deploy({ ackWaitMs: 1_000 })
    const client = await rig.client("a")
    const node = pull(client)
    await give(client, range(1, 3))
    await rig.until("all have come", () => node.numbers.length === 3)
    node.ack(3)
    for (let i = 0; i < 4; i++) {
      await rig.delay(400)
      node.held[1]?.working()
    }
    await rig.until("one has come again", () => node.numbers.length > 3)
    expect([node.numbers.slice(0, 4), node.calls]).toEqual([[1, 2, 3, 1], ["owned 0"]])
    expect(node.numbers.filter((n) => n === 2)).toEqual([2])
  },
  "an ack from before a takeover does not count: the message comes again": async (rig) => {
    await rig.deploy()
    const client = await rig.client("a")
    let ready = (): void => {}
    let preparing = 0
    const node = pull(client, {
      onOwned: () => {
        preparing += 1
        return preparing === 1 ? Promise.resolve() : new Promise((resolve) => (ready = resolve))
      },
    })
    await give(client, range(1, 3))
    await rig.until("all have come", () => node.numbers.length === 3)
    const held = [...node.held]
    node.lane.restart()
    await rig.until("it is owned again", () => preparing === 2)
    await rig.delay(100)
    for (const delivery of held) delivery.ack()
    await rig.delay(100)
    ready()
    await rig.until("they have come again", () => node.numbers.length === 6)
    expect(node.numbers.slice(3)).toEqual([1, 2, 3])
  },
  "after a kill of the server acked ones may come again; nothing is missing, and the order holds": async (rig) => {
    await rig.deploy()
    const [client, other] = [await rig.client("a"), await rig.client("b")]
    const node = pull(client, { ack: true })
    await give(other, range(1, 30))
    await rig.until("all have come", () => node.numbers.length === 30)
    await rig.killServer()
    await give(other, range(31, 35))
    await rig.until("the new ones have come", () => node.numbers.at(-1) === 35)
    const after = node.numbers.slice(30)
    expect(after[0]).toBeLessThanOrEqual(31)
    expect(after).toEqual(range(after[0] ?? 0, 35))
  },
  "nothing is delivered before the node is ready; a node that cannot get ready is asked again": async (rig) => {
    await rig.deploy()
    const client = await rig.client("a")
    let ready: (() => void) | undefined
    let tries = 0
    const node = pull(client, {
      ack: true,
      onOwned: () => {
        tries += 1
        if (tries === 1) return Promise.reject(new Error("not yet"))
        return new Promise((resolve) => (ready = resolve))
      },
    })
    await give(client, range(1, 5))
    await rig.until("it was asked again", () => ready !== undefined)
    await give(client, range(6, 8))
    await rig.delay(100)
    expect([node.numbers, node.lane.owned]).toEqual([[], false])
    ready?.()
    await rig.until("all have come", () => node.numbers.length === 8)
    expect([node.numbers, node.calls]).toEqual([range(1, 8), ["owned 0", "lost", "owned 0"]])
  },
  "a node that owns nothing is told whether another one does; nobody does before there is something to deliver": async (
    rig,
  ) => {
    await rig.deploy()
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const [first, second] = [pull(a, { ack: true }), pull(b, { ack: true })]
    await rig.until("both were told", () => first.passive.length > 0 && second.passive.length > 0)
    expect([...first.passive, ...second.passive]).not.toContain(true)
    await give(a, [1])
    const owner = (): Seen | undefined => [first, second].find(({ numbers }) => numbers.length === 1)
    await rig.until("one has it", () => owner() !== undefined)
    const other = owner() === first ? second : first
    await rig.until("the other one was told", () => other.passive.at(-1) === true)
    await owner()?.lane.stop()
    await owner()?.lane.release()
    await rig.until("it was told again", () => other.passive.at(-1) === false)
    expect(other.numbers).toEqual([])
  },
}
