import { TimeoutError } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { durableInfo, ensureDurable, removeDurable, resetDurable } from "../src/bus/consumers.js"
import { type Delivery, Partition } from "../src/bus/partition.js"
import { silentLog } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
const opened: Bus[] = []
const partitions: Partition[] = []

async function open(): Promise<Bus> {
  const another = await openBus({ url: server.url, name: "node", mesh: "test" })
  opened.push(another)
  return another
}

beforeEach(async () => {
  server = await startTestServer()
  bus = await open()
  await bus.ensureStreams()
})

afterEach(async () => {
  server.resume()
  await Promise.all(partitions.splice(0).map((partition) => partition.stop()))
  for (const each of opened.splice(0)) await each.close()
  await server.stop()
})

const options = () => ({ stream: bus.names.events, durable: "worker" })
const deploy = (more: { ackPendingMax?: number; from?: "now" | "start" } = {}) =>
  ensureDurable(bus.link, {
    stream: bus.names.events,
    name: "worker",
    filters: [bus.names.storedFilter("work.>")],
    ackPendingMax: 100,
    ackWaitMs: 30_000,
    from: "start",
    ...more,
  })

async function publish(count: number, from = 0): Promise<void> {
  const drafts = Array.from({ length: count }, (_, i) => ({ type: "work.given", key: "k", data: from + i }))
  for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
}

/** A node's side of a partition: notes what it is told. */
interface Seen {
  readonly partition: Partition
  readonly bus: Bus
  readonly seqs: number[]
  readonly held: Delivery[]
  readonly calls: string[]
}

function join(
  on: Bus,
  more: { ack?: boolean; onOwned?: (floor: number, ended: AbortSignal) => Promise<void> } = {},
): Seen {
  const seen = { bus: on, seqs: [] as number[], held: [] as Delivery[], calls: [] as string[] }
  const partition = new Partition(
    on.link,
    { ...options(), batchMax: 100, log: silentLog },
    {
      onOwned: (floor, ended) => {
        seen.calls.push(`owned ${floor}`)
        return more.onOwned?.(floor, ended)
      },
      onLost: () => seen.calls.push("lost"),
      onDelivery: (delivery) => {
        seen.seqs.push(delivery.seq)
        seen.held.push(delivery)
        if (more.ack !== false) delivery.ack()
      },
    },
  )
  partitions.push(partition)
  partition.start()
  return { ...seen, partition }
}

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n)

test("one of two nodes gets everything, in order; when it stops and releases, the other goes on at once", async () => {
  await deploy()
  const first = join(bus)
  await publish(50)
  await until("the first has all", () => first.seqs.length === 50)
  const second = join(await open())
  await publish(50, 50)
  await until("the first has all", () => first.seqs.length === 100)
  expect(second.seqs).toEqual([])
  expect([first.partition.owned, second.partition.owned]).toEqual([true, false])
  await first.partition.stop()
  await first.partition.release()
  const began = Date.now()
  await publish(10, 100)
  await until("the second has the rest", () => second.seqs.length === 10)
  expect(Date.now() - began).toBeLessThan(2_500)
  expect(second.seqs).toEqual(upTo(10, 101))
  expect(first.calls).toEqual(["owned 0", "lost"])
})

test("what a node held when its connection broke goes to the other within seconds, before anything newer", async () => {
  await deploy()
  const owner = join(await open(), { ack: false })
  await publish(1)
  await until("it owns the partition", () => owner.held.length === 1)
  const spare = join(await open())
  await publish(29, 1)
  await until("it holds them all", () => owner.held.length === 30)
  for (const delivery of owner.held.slice(0, 10)) delivery.ack()
  await owner.bus.link.connection.flush()
  await owner.bus.link.connection.close()
  await publish(1, 30)
  await until("the other has the rest", () => spare.seqs.length === 21, 10_000)
  expect(spare.seqs).toEqual(upTo(21, 11))
  expect(spare.calls).toEqual(["owned 10"])
  expect(owner.calls).toEqual(["owned 0", "lost"])
})

test("a dead owner that held all that may be unacked does not block the partition", async () => {
  await deploy({ ackPendingMax: 5 })
  const owner = join(await open(), { ack: false })
  await publish(8)
  await until("it holds five", () => owner.held.length === 5)
  const spare = join(bus)
  await owner.bus.link.connection.close()
  await until("the other has all", () => spare.seqs.length === 8, 15_000)
  expect(spare.seqs).toEqual(upTo(8))
})

test("a connection that breaks takes ownership along; what was not acked comes again, in order, once connected", async () => {
  await deploy()
  const node = join(bus, { ack: false })
  await publish(20)
  await until("all came", () => node.seqs.length === 20)
  for (const delivery of node.held.slice(0, 5)) delivery.ack()
  await bus.link.connection.flush()
  await bus.link.connection.reconnect()
  await until("it was lost", () => node.calls.includes("lost"))
  await until("they came again", () => node.seqs.length === 35, 10_000)
  expect(node.seqs.slice(20)).toEqual(upTo(15, 6))
  expect(node.calls).toEqual(["owned 0", "lost", "owned 5"])
})

test("over kills of the server nothing is missed and no gap is let through", async () => {
  await deploy()
  const done = new Set<number>()
  const node = join(bus)
  const publisher = await open()
  const published = (async () => {
    const drafts = Array.from({ length: 3_000 }, (_, n) => ({ type: "work.given", data: n }))
    for await (const _ of publisher.publishMany(drafts, { producer: "cli" }));
  })()
  for (const share of [500, 1_500]) {
    await until(`${share} came`, () => node.seqs.length > share)
    await server.kill9()
    await server.restart()
  }
  await published
  await until("all came", () => new Set(node.seqs).size === 3_000)
  for (const seq of node.seqs) {
    expect(seq === 1 || done.has(seq - 1), `${seq} after ${seq - 1}`).toBe(true)
    done.add(seq)
  }
})

test("a reset from elsewhere, in the middle: everything still comes, in order", async () => {
  await deploy()
  const node = join(bus, { ack: false })
  await publish(40)
  await until("all came", () => node.seqs.length === 40)
  for (const delivery of node.held.slice(0, 30)) delivery.ack()
  await bus.link.connection.flush()
  await resetDurable((await open()).link, options().stream, options().durable)
  await publish(10, 40)
  await until("the rest came again and the new ones after it", () => node.seqs.length === 60)
  expect(node.seqs.slice(40)).toEqual(upTo(20, 31))
})

test("a consumer that is removed and made again is found again", async () => {
  await deploy()
  const node = join(bus)
  await publish(5)
  await until("they came", () => node.seqs.length === 5)
  await removeDurable(bus.link, options().stream, options().durable)
  await until("it noticed", () => node.calls.at(-1) === "lost", 10_000)
  await deploy({ from: "now" })
  await until("it pulls again", async () => {
    const info = await durableInfo(bus.link, options().stream, options().durable)
    return (info?.num_waiting ?? 0) > 0
  })
  await publish(5, 5)
  await until("the new ones came", () => node.seqs.length === 10)
  expect(node.seqs.slice(5)).toEqual(upTo(5, 6))
  expect(node.calls).toEqual(["owned 0", "lost", "owned 5"])
})

test("a consumer that comes later is waited for", async () => {
  const node = join(bus)
  await publish(3)
  await deploy()
  await until("they came", () => node.seqs.length === 3)
})

describe("preparing", () => {
  test("nothing is delivered before the node is ready, then all of it in order", async () => {
    await deploy()
    let ready: (() => void) | undefined
    const node = join(bus, { onOwned: () => new Promise((resolve) => (ready = resolve)) })
    await publish(30)
    await until("it was asked", () => ready !== undefined)
    await publish(30, 30)
    await until("all were handed out", async () => {
      return (await durableInfo(bus.link, options().stream, options().durable))?.num_ack_pending === 60
    })
    expect([node.seqs, node.partition.owned]).toEqual([[], false])
    ready?.()
    await until("all came", () => node.seqs.length === 60)
    expect(node.seqs).toEqual(upTo(60))
  })

  test("an ownership that ends while the node prepares is over for good, also when the preparation ends later", async () => {
    await deploy()
    const ready: (() => void)[] = []
    const ended: AbortSignal[] = []
    const node = join(bus, {
      onOwned: (_, signal) => {
        ended.push(signal)
        return new Promise((resolve) => ready.push(resolve))
      },
    })
    await publish(5)
    await until("it was asked", () => ready.length === 1)
    await bus.link.connection.reconnect()
    await until("it was asked again", () => ready.length === 2, 10_000)
    expect(ended.map(({ aborted }) => aborted)).toEqual([true, false])
    ready[0]?.()
    await publish(1, 5)
    expect(node.seqs).toEqual([])
    ready[1]?.()
    await until("all came", () => node.seqs.length === 6)
    expect(node.calls).toEqual(["owned 0", "lost", "owned 0"])
  })

  test("a preparation that fails is tried again", async () => {
    await deploy()
    let tries = 0
    const node = join(bus, {
      onOwned: async () => {
        tries += 1
        if (tries === 1) throw new Error("not yet")
      },
    })
    await publish(3)
    await until("they came", () => node.seqs.length === 3, 15_000)
    expect(node.calls).toEqual(["owned 0", "lost", "owned 0"])
  })
})

describe("starting and stopping", () => {
  test("a start while it stops is a start", async () => {
    await deploy()
    const node = join(bus)
    await publish(3)
    await until("they came", () => node.seqs.length === 3)
    const stopped = node.partition.stop()
    node.partition.start()
    node.partition.start()
    await stopped
    await publish(3, 3)
    await until("the next came", () => node.seqs.length === 6, 15_000)
  })

  test("a stop right after the start ends, and twice is once", async () => {
    await deploy()
    for (let i = 0; i < 10; i++) {
      const node = join(bus)
      if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, i))
      await Promise.all([node.partition.stop(), node.partition.stop()])
      expect(node.partition.owned).toBe(false)
    }
  })

  test("a partition that was paused and then stopped is still released at once", async () => {
    await deploy()
    const node = join(bus)
    await publish(1)
    await until("it came", () => node.seqs.length === 1)
    await node.partition.stop()
    await node.partition.stop()
    await node.partition.release()
    const info = await durableInfo(bus.link, options().stream, options().durable)
    const groups = (info as { priority_groups?: { pinned_client_id?: string }[] } | undefined)?.priority_groups
    expect(groups?.every(({ pinned_client_id: pin }) => pin === undefined || pin === "")).toBe(true)
  })

  test("a restart takes back what was delivered and not acked", async () => {
    await deploy()
    const node = join(bus, { ack: false })
    await publish(4)
    await until("they came", () => node.seqs.length === 4)
    node.held[0]?.ack()
    await bus.link.connection.flush()
    node.partition.restart()
    await until("the rest came again", () => node.seqs.length === 7, 15_000)
    expect(node.seqs.slice(4)).toEqual([2, 3, 4])
  })

  test("settling a message after the connection is closed harms nobody", async () => {
    await deploy()
    const node = join(await open(), { ack: false })
    await publish(2)
    await until("they came", () => node.seqs.length === 2)
    await node.bus.link.connection.close()
    for (const delivery of node.held) {
      delivery.working()
      delivery.receipt().working()
      delivery.receipt().ack()
      delivery.ack()
    }
  })
})

describe("leaving a partition to others", () => {
  test("who leaves it gets nothing that another pulls, also when that one comes later", async () => {
    await deploy()
    const spare = join(bus)
    spare.partition.leave(true)
    await until("it pulls no more", async () => {
      const info = await durableInfo(bus.link, options().stream, options().durable)
      return info !== undefined && info.num_waiting === 0
    })
    const owner = join(await open())
    await publish(30)
    await until("the other has all", () => owner.seqs.length === 30)
    expect([spare.seqs, spare.calls]).toEqual([[], []])
  })

  test("what waits and is taken by nobody is taken all the same, and kept", async () => {
    await deploy()
    const spare = join(bus)
    spare.partition.leave(true)
    await publish(5)
    await until("it has them", () => spare.seqs.length === 5)
    const late = join(await open())
    await publish(5, 5)
    await until("it has the next as well", () => spare.seqs.length === 10)
    expect([spare.partition.owned, late.seqs]).toEqual([true, []])
  })

  test("an owner that leaves it stays the owner until it lets go; then it stands back", async () => {
    await deploy()
    const first = join(bus)
    await publish(5)
    await until("it has them", () => first.seqs.length === 5)
    const second = join(await open())
    first.partition.leave(true)
    await publish(5, 5)
    await until("it has the next as well", () => first.seqs.length === 10)
    first.partition.hold()
    await first.partition.stop()
    await first.partition.release()
    first.partition.start()
    await publish(20, 10)
    await until("the other has the rest", () => second.seqs.length === 20)
    expect([first.seqs.length, second.seqs]).toEqual([10, upTo(20, 11)])
  })

  test("it is pulled again when it is not left any more", async () => {
    await deploy()
    const node = join(bus)
    for (const left of [true, false, true, false]) node.partition.leave(left)
    await publish(3)
    await until("they came", () => node.seqs.length === 3)
    expect(node.calls).toEqual(["owned 0"])
  })
})

test("the past of what is added to a filter does not come, though the answer to the change was lost", async () => {
  const give = (type: string) => bus.publish({ type, data: 1 }, { producer: "cli" })
  await deploy()
  for (let n = 0; n < 3; n++) await give("other.given")
  const { consumers } = bus.link.manager
  const update = consumers.update.bind(consumers)
  const lost = vi.spyOn(consumers, "update").mockImplementationOnce(async (...args) => {
    await update(...args)
    throw new TimeoutError()
  })
  await ensureDurable(bus.link, {
    ...{ stream: bus.names.events, name: "worker", ackPendingMax: 100, ackWaitMs: 30_000 },
    filters: [bus.names.storedFilter("work.>"), bus.names.storedFilter("other.>")],
  })
  expect(lost).toHaveBeenCalled()
  const one = join(await open())
  await give("other.given")
  await until("what is new comes", () => one.seqs.includes(4))
  expect(one.seqs).toEqual([4])
})
