import { afterEach, beforeEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { ensureDurable, removeDurable } from "../src/bus/consumers.js"
import { SharedLane } from "../src/bus/shared-lane.js"
import type { Delivery } from "../src/bus/tenure.js"
import { silentLog } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
const opened: Bus[] = []
const lanes: SharedLane[] = []

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
  await Promise.all(lanes.splice(0).map((lane) => lane.stop()))
  for (const each of opened.splice(0)) await each.close()
  await server.stop()
})

const deploy = (ackWaitMs = 1_000) =>
  ensureDurable(bus.link, {
    stream: bus.names.events,
    name: "worker=any",
    filters: [bus.names.storedFilter("work.>")],
    ackPendingMax: -1,
    ackWaitMs,
    pinned: false,
    from: "start",
  })

async function publish(count: number): Promise<void> {
  const drafts = Array.from({ length: count }, (_, data) => ({ type: "work.given", key: "k", data }))
  for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
}

/** A node's side of a lane, with room for so many messages at a time. */
class Taker {
  readonly held: Delivery[] = []
  taken = 0
  most = 0
  lost = 0
  readonly lane: SharedLane
  #more = (): void => {}

  constructor(
    on: Bus,
    private readonly places: number,
    ackWaitMs = 1_000,
  ) {
    const room = {
      free: () => this.places - this.held.length,
      onMore: (listener: () => void) => {
        this.#more = listener
      },
    }
    const options = { stream: bus.names.events, durable: "worker=any", batchMax: 100, room, ackWaitMs, log: silentLog }
    this.lane = new SharedLane(on.link, options, {
      onOwned: () => {},
      onLost: () => {
        this.lost += 1
      },
      onDelivery: (delivery) => {
        this.held.push(delivery)
        this.taken += 1
        this.most = Math.max(this.most, this.held.length)
      },
    })
    lanes.push(this.lane)
    this.lane.start()
  }

  /** Acks what it holds. */
  finish(): void {
    for (const delivery of this.held.splice(0)) delivery.ack()
    this.#more()
  }
}

test("a node takes no more than it has room for, and the rest goes to others", async () => {
  await deploy(30_000)
  const full = new Taker(await open(), 3)
  await publish(10)
  await until("it is full", () => full.held.length === 3)
  const other = new Taker(await open(), 20)
  await until("the other has the rest", () => other.held.length === 7)
  full.finish()
  await publish(2)
  await until("both are at work", () => full.taken + other.taken === 12)
  expect(full.most).toBe(3)
})

test("a node that has finished is given more at once", async () => {
  await deploy(30_000)
  const taker = new Taker(bus, 5)
  await publish(200)
  const began = Date.now()
  await until("it has done all", () => {
    taker.finish()
    return taker.taken === 200
  })
  expect(taker.most).toBeLessThanOrEqual(5)
  expect(Date.now() - began).toBeLessThan(5_000)
})

test("what a node holds and says nothing of goes to another after the ack wait, with its count", async () => {
  await deploy(300)
  const silent = new Taker(await open(), 2)
  await publish(2)
  await until("it holds them", () => silent.held.length === 2)
  await silent.lane.stop()
  const other = new Taker(await open(), 5)
  await until("the other holds them", () => other.held.length === 2)
  expect(other.held.map(({ deliveryCount }) => deliveryCount)).toEqual([2, 2])
})

test("what is handed back goes to another at once", async () => {
  await deploy(30_000)
  const first = new Taker(await open(), 2)
  await publish(2)
  await until("it holds them", () => first.held.length === 2)
  await first.lane.stop()
  expect(first.lost).toBe(1)
  const other = new Taker(await open(), 5)
  for (const delivery of first.held) delivery.receipt().giveBack?.()
  await until("the other holds them", () => other.held.length === 2, 5_000)
})

test("a consumer that is made after the node started, or made again, is pulled", async () => {
  const taker = new Taker(bus, 100)
  await publish(3)
  await deploy(30_000)
  await until("it has them", () => taker.held.length === 3)
  taker.finish()
  await removeDurable(bus.link, bus.names.events, "worker=any")
  await until("it knows", () => !taker.lane.owned)
  await deploy(30_000)
  await until("it has them again", () => taker.held.length === 3)
  expect(taker.lane.owned).toBe(true)
})

test("started again after a stop, it pulls again", async () => {
  await deploy(30_000)
  const taker = new Taker(bus, 100)
  await publish(1)
  await until("it has it", () => taker.held.length === 1)
  const stopped = taker.lane.stop()
  taker.lane.start()
  await stopped
  await publish(1)
  await until("it has the next", () => taker.held.length === 2)
})

test("a node whose connection is away for half an ack wait gives up what it has not begun", async () => {
  await deploy(1_000)
  const taker = new Taker(bus, 2, 1_000)
  await publish(1)
  await until("it holds it", () => taker.held.length === 1)
  await server.kill9()
  await until("it has given up", () => taker.lost === 1)
  await server.restart()
  await until("it pulls again, and is told of it again", () => taker.held.length === 2)
})
