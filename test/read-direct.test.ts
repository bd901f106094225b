import { headers } from "@nats-io/transport-node"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { directBatch } from "../src/bus/direct-get.js"
import type { Link } from "../src/bus/link.js"
import { type DirectRead, followDirect, readDirect } from "../src/bus/read-direct.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test", mesh: "test" })
  await bus.link.manager.streams.add({ name: "LOG", subjects: ["log.>"], allow_direct: true })
})
afterEach(async () => {
  await bus.close()
  await server.stop()
})

/** Appends numbered records, pipelined; every other one to another subject. */
async function append(count: number, from = 0): Promise<void> {
  const acks = Array.from({ length: count }, (_, n) =>
    Promise.all([
      bus.link.client.publish("log.a", String(from + n)),
      bus.link.client.publish("log.b", `other ${from + n}`),
    ]),
  )
  await Promise.all(acks)
}

async function numbers(read: Partial<DirectRead> = {}): Promise<number[]> {
  const found: number[] = []
  const messages = readDirect(bus.link, { stream: "LOG", filter: "log.a", from: { seq: 1 }, ...read })
  for await (const { data } of messages) found.push(Number(Buffer.from(data).toString()))
  return found
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe("history without a consumer", () => {
  test.each([0, 1, 99, 100, 101, 1_100, 2_345])("%i records come in order, each once", async (count) => {
    await append(count)
    expect((await numbers()).sort((a, b) => a - b)).toEqual(upTo(count))
    const { state } = await bus.link.manager.streams.info("LOG")
    expect(state.consumer_count).toBe(0)
  })

  test("a range: from a sequence, from a time, to a sequence", async () => {
    for (let n = 0; n < 5; n++) await append(1, n) // records of "a" at 1, 3, 5, 7, 9
    expect(await numbers({ from: { seq: 3 } })).toEqual([1, 2, 3, 4])
    expect(await numbers({ from: { seq: 4 }, toSeq: 7 })).toEqual([2, 3])
    expect(await numbers({ from: { seq: 8 }, toSeq: 8 })).toEqual([])
    expect(await numbers({ from: { seq: 99 } })).toEqual([])
    const fifth = Date.now()
    await until("the clock has moved on", () => Date.now() > fifth + 1)
    const time = new Date()
    await append(1, 5)
    expect(await numbers({ from: { time } })).toEqual([5])
    expect(await numbers({ from: { time: new Date(Date.now() + 60_000) } })).toEqual([])
  })

  test("what was deleted in between is not missed", async () => {
    await append(300)
    await bus.link.manager.streams.purge("LOG", { filter: "log.a", seq: 401 })
    await bus.link.manager.streams.deleteMessage("LOG", 501)
    expect(await numbers()).toEqual(upTo(300).filter((n) => n >= 200 && n !== 250))
  })

  test("goes on over a kill of the server", async () => {
    await append(1_500)
    const found: number[] = []
    const messages = readDirect(bus.link, { stream: "LOG", filter: "log.a", from: { seq: 1 } })
    for await (const { data } of messages) {
      found.push(Number(Buffer.from(data).toString()))
      if (found.length !== 150) continue
      await server.kill9()
      await server.restart()
    }
    expect(found.sort((a, b) => a - b)).toEqual(upTo(1_500))
  })

  test("an abort ends it", async () => {
    await append(500)
    const stopping = new AbortController()
    const found: number[] = []
    for await (const { seq } of readDirect(bus.link, {
      ...{ stream: "LOG", filter: "log.a", from: { seq: 1 } },
      signal: stopping.signal,
    })) {
      found.push(seq)
      if (found.length === 5) stopping.abort()
    }
    expect(found.length).toBe(5)
  })

  test("a stream that is not there is told, and nothing is left behind", async () => {
    const query = { stream: "NONE", filter: ">", from: { seq: 1 }, countMax: 1 }
    await expect(directBatch(bus.link, query)).rejects.toThrow(/no responders/i)
    const subscriptions = async (): Promise<number> => {
      const response = await fetch(`${server.monitorUrl}/connz?name=test`)
      return (
        ((await response.json()) as { connections: { subscriptions: number }[] }).connections[0]?.subscriptions ?? 0
      )
    }
    const before = await subscriptions()
    await append(250)
    for (let n = 0; n < 20; n++) await numbers()
    await bus.link.connection.flush()
    expect(await subscriptions()).toBe(before)
  })
})

/** A server that holds nothing yet answers first; the next one has what the leader has. */
function behindAtFirst(): Link {
  const { connection, manager } = bus.link
  let asked = 0
  connection.subscribe("BEHIND.DIRECT.GET.LOG", {
    callback: (_, message) => {
      asked += 1
      if (asked === 1) message.respond("", { headers: headers(404, "Message Not Found") })
      else connection.publish("$JS.API.DIRECT.GET.LOG", message.data, { reply: message.reply ?? "" })
    },
  })
  const getOptions = (): object => ({ ...manager.getOptions(), apiPrefix: "BEHIND" })
  return { ...bus.link, manager: Object.create(manager, { getOptions: { value: getOptions } }) }
}

test.each([
  ["sequence", (): DirectRead["from"] => ({ seq: 1 })],
  ["time", (): DirectRead["from"] => ({ time: new Date(Date.now() - 60_000) })],
])("from a %s: what the leader has is read, though the server that answers first has nothing", async (_, from) => {
  await append(3)
  const found: string[] = []
  const read = { stream: "LOG", filter: "log.a", from: from() }
  for await (const { data } of readDirect(behindAtFirst(), read)) found.push(Buffer.from(data).toString())
  expect(found).toEqual(["0", "1", "2"])
})

describe("when nobody answers", () => {
  test("an abort ends a reading, without a connection and with one", async () => {
    await append(3)
    for (const trouble of ["gone", "still"]) {
      if (trouble === "gone") await server.kill9()
      else server.pause()
      if (trouble === "gone") await until("the connection is lost", () => !bus.connected)
      const stopping = new AbortController()
      const reading = numbers({ signal: stopping.signal })
      stopping.abort()
      const began = performance.now()
      expect(await reading).toEqual([])
      expect(performance.now() - began).toBeLessThan(3_000) // the question itself is waited for 5 s, the connection for ever
      if (trouble === "gone") await server.restart()
      else server.resume()
      await until("the connection is back", () => bus.connected)
    }
  })

  test("asking on a closed connection leaves nothing behind that ends the process later", async () => {
    await bus.link.connection.close()
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    try {
      const query = { stream: "LOG", filter: ">", from: { seq: 1 }, countMax: 1 }
      await expect(directBatch(bus.link, query)).rejects.toThrow(/closed/)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})

test("following: what is there, then what comes, until it is aborted", async () => {
  await append(3)
  const stopping = new AbortController()
  const found: string[] = []
  const following = (async () => {
    const read = { stream: "LOG", filter: "log.a", from: { seq: 1 }, signal: stopping.signal }
    for await (const message of followDirect(bus.link, read)) found.push(Buffer.from(message.data).toString())
  })()
  await until("it has read what is there", () => found.length === 3)
  await append(2, 3)
  await until("what came is read", () => found.length === 5)
  stopping.abort()
  await following
  expect(found).toEqual(["0", "1", "2", "3", "4"])
})
