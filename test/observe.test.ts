import { bufferCount, filter, take as first, firstValueFrom, map, toArray } from "rxjs"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import type { ObserveOptions } from "../src/bus/observe.js"
import { readHistory } from "../src/bus/reader.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
let publisher: Bus
beforeEach(async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "observer", mesh: "test" })
  publisher = await openBus({ url: server.url, name: "publisher", mesh: "test" })
  await bus.ensureStreams()
})
afterEach(async () => {
  server.resume()
  await bus.close()
  await publisher.close()
  await server.stop()
})

const draft = (n: number): EventDraft => ({ type: n % 2 === 0 ? "even.n" : "odd.n", key: `k${n % 3}`, data: n })
const publish = async (count: number, from = 0, producer = "cli") => {
  const drafts = Array.from({ length: count }, (_, i) => draft(from + i))
  for await (const _ of publisher.publishMany(drafts, { producer }));
}
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

async function collect(count: number, pattern = ">", options: ObserveOptions = {}): Promise<number[]> {
  const numbers: number[] = []
  for await (const { data } of bus.observe(pattern, options)) {
    numbers.push(data as number)
    if (numbers.length === count) break
  }
  return numbers
}

const consumers = async () => {
  let count = 0
  for await (const _ of bus.link.manager.consumers.list(bus.names.events)) count += 1
  return count
}

describe("history and then what comes, without a gap or a repeat at the seam", () => {
  test("while somebody publishes all the time", async () => {
    await publish(500)
    const publishing = publish(3_000, 500)
    const readers = [collect(3_500, ">", { from: "start" }), collect(3_000, ">", { from: 501 })]
    await publishing
    expect(await readers[0]).toEqual(upTo(3_500))
    expect(await readers[1]).toEqual(upTo(3_500).slice(500))
  })

  test("over kills of the server, and over a connection that breaks", async () => {
    await publish(100)
    const numbers: number[] = []
    const done = (async () => {
      for await (const { data } of bus.observe(">", { from: "start" })) {
        numbers.push(data as number)
        if (numbers.length === 3_100) return
      }
    })()
    const publishing = publish(3_000, 100)
    for (const [share, fault] of [
      [500, () => server.kill9().then(() => server.restart())],
      [1_200, () => bus.link.connection.reconnect()],
      [2_000, () => server.kill9().then(() => server.restart())],
    ] as const) {
      await until(`${share} were seen`, () => numbers.length > share)
      await fault()
    }
    await publishing
    await done
    expect(numbers).toEqual(upTo(3_100))
  }, 60_000)

  test("a server that is started again is noticed at once, also when nothing is published", async () => {
    const numbers: number[] = []
    const stopping = new AbortController()
    const stream = bus.observe(">", { signal: stopping.signal })
    const done = (async () => {
      for await (const { data } of stream) numbers.push(data as number)
    })()
    await stream.ready
    await publish(1)
    await until("it is seen", () => numbers.length === 1)
    await server.restart()
    await until("both are connected", () => bus.connected && publisher.connected)
    const began = Date.now()
    await publish(1, 1)
    await until("the next is seen", () => numbers.length === 2, 10_000)
    expect(Date.now() - began).toBeLessThan(2_500)
    stopping.abort()
    await done
  })
})

describe("where it begins", () => {
  test("now: what is published from `ready` on, wherever the reading is by then", async () => {
    await publish(5)
    const stream = bus.observe(">")
    await stream.ready
    await publish(5, 5)
    const numbers: number[] = []
    for await (const { data } of stream) {
      numbers.push(data as number)
      if (numbers.length === 5) break
    }
    expect(numbers).toEqual([5, 6, 7, 8, 9])
  })

  test("a time, a sequence, the start", async () => {
    await publish(5)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const between = new Date()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await publish(5, 5)
    expect(await collect(5, ">", { from: between })).toEqual([5, 6, 7, 8, 9])
    expect(await collect(3, ">", { from: 8 })).toEqual([7, 8, 9])
    expect(await collect(10, ">", { from: "start" })).toEqual(upTo(10))
    expect(await collect(10, ">", { from: 0 })).toEqual(upTo(10))
  })

  test("only what fits: pattern, key and producer", async () => {
    await publish(12)
    await publish(12, 100, "feed")
    expect(await collect(2, "even.*", { from: "start", key: "k0", producer: "cli" })).toEqual([0, 6])
    expect(await collect(2, "even.*", { from: "start", key: "k0", producer: "feed" })).toEqual([102, 108])
    expect(await collect(4, "odd.n", { from: "start", key: "k1" })).toEqual([1, 7, 103, 109])
  })

  test.each<[string, () => unknown, string]>([
    ["a pattern that is none", () => bus.observe("a..b"), "FILTER"],
    ["a producer that is none", () => bus.observe(">", { producer: "A" }), "NAME_INVALID"],
    ["a time that is none", () => bus.observe(">", { from: new Date(Number.NaN) }), "OBSERVE_OPTION"],
    ["half a sequence", () => bus.observe(">", { from: 1.5 }), "OBSERVE_OPTION"],
    ["a word", () => bus.observe(">", { from: "yesterday" as never }), "OBSERVE_OPTION"],
  ])("%s is refused at once", (_, observe, code) => {
    expect(observe).toThrow(expect.objectContaining({ code }))
  })

  test("a mesh that is not there is an error of the reading", async () => {
    const lost = await openBus({ url: server.url, name: "test", mesh: "lost" })
    const stream = lost.observe(">")
    await expect(stream.ready).rejects.toMatchObject({ code: "MESH_NOT_FOUND" })
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "MESH_NOT_FOUND" })
    await expect(firstValueFrom(stream)).rejects.toMatchObject({ code: "MESH_NOT_FOUND" })
    await lost.close()
  })
})

describe("how it ends", () => {
  test("by abort: while it waits, before it begins, and by breaking off; the server keeps nothing", async () => {
    const stopping = new AbortController()
    const waiting = collect(1, ">", { signal: stopping.signal })
    await until("it waits", async () => (await consumers()) === 1)
    stopping.abort()
    expect(await waiting).toEqual([])
    expect(await collect(1, ">", { signal: AbortSignal.abort() })).toEqual([])
    await publish(3)
    expect(await collect(1, ">", { from: "start" })).toEqual([0])
    await until("the server has forgotten them", async () => (await consumers()) === 0)
  })

  test("by the end of the connection", async () => {
    const waiting = collect(1)
    await until("it waits", async () => (await consumers()) === 1)
    await bus.close()
    expect(await waiting).toEqual([])
  })

  test("a signal that lives long is not left with listeners", async () => {
    const long = new AbortController()
    let listeners = 0
    const { signal } = long
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1
      remove(...args)
    }
    await publish(10)
    for (let i = 0; i < 5; i++) {
      await collect(3, ">", { from: "start", signal })
      await firstValueFrom(bus.observe(">", { from: "start", signal }).pipe(first(3), toArray()))
    }
    await until("all are gone", () => listeners === 0)
  })
})

test("a slow reader holds back the server and not its own memory", async () => {
  await publish(5_000)
  const iterator = bus.observe(">", { from: "start" })[Symbol.asyncIterator]()
  await iterator.next()
  await until("the server has handed out a batch", async () => (await delivered()) >= 200)
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(await delivered()).toBeLessThanOrEqual(256)
  for (let i = 0; i < 300; i++) await iterator.next()
  expect(await delivered()).toBeLessThanOrEqual(512)
  await iterator.return?.(undefined)

  async function delivered(): Promise<number> {
    for await (const info of bus.link.manager.consumers.list(bus.names.events)) return info.delivered.stream_seq
    return 0
  }
})

test("what is no event is passed over", async () => {
  bus.link.connection.publish("test.ev.cli.k.even.n", "{ not json")
  await publish(1)
  expect(await collect(1, ">", { from: "start" })).toEqual([0])
})

describe("as an Observable", () => {
  test("it is one to RxJS: operators, several subscriptions, unsubscribing", async () => {
    await publish(20)
    const events = bus.observe(">", { from: "start" })
    const evens = events.pipe(
      filter(({ type }: MurmurEvent) => type === "even.n"),
      map(({ data }) => data as number),
      bufferCount(5),
      first(2),
      toArray(),
    )
    const [one, two] = await Promise.all([firstValueFrom(evens), firstValueFrom(evens)])
    expect(one).toEqual([
      [0, 2, 4, 6, 8],
      [10, 12, 14, 16, 18],
    ])
    expect(two).toEqual(one)
    await until("the server has forgotten them", async () => (await consumers()) === 0)
  })

  test("it completes when its signal is aborted", async () => {
    const stopping = new AbortController()
    let completed = false
    const numbers: unknown[] = []
    bus.observe(">", { from: "start", signal: stopping.signal }).subscribe({
      next: ({ data }) => numbers.push(data),
      complete: () => {
        completed = true
      },
    })
    await publish(3)
    await until("they came", () => numbers.length === 3)
    stopping.abort()
    await until("it is complete", () => completed)
  })
})

describe("reading history", () => {
  const read = (more: object = {}) =>
    readHistory(bus.link, { stream: bus.names.events, filter: bus.names.storedFilter(">"), from: { seq: 1 }, ...more })
  const seqs = async (more: object = {}) => {
    const found: number[] = []
    for await (const { seq } of read(more)) found.push(seq)
    return found
  }

  test("ends with what was there when it began, however much is published meanwhile", async () => {
    await publish(1_000)
    const reading = read({ batchMax: 50 })
    const found = [(await reading.next()).value?.seq]
    let going = true
    const publishing = (async () => {
      for (let n = 1_000; going; n += 200) await publish(200, n)
    })()
    for await (const { seq } of reading) found.push(seq)
    going = false
    await publishing
    expect(found).toEqual(upTo(1_000).map((n) => n + 1))
  })

  test("of nothing, up to a sequence, from beyond the end, of a filter that nothing fits", async () => {
    expect(await seqs()).toEqual([])
    await publish(10)
    expect(await seqs({ toSeq: 4 })).toEqual([1, 2, 3, 4])
    expect(await seqs({ from: { seq: 8 }, toSeq: 100 })).toEqual([8, 9, 10])
    expect(await seqs({ from: { seq: 11 } })).toEqual([])
    expect(await seqs({ filter: bus.names.storedFilter("nothing.>") })).toEqual([])
    expect(await seqs({ filter: bus.names.storedFilter("odd.*"), toSeq: 5 })).toEqual([2, 4])
    expect(await seqs({ signal: AbortSignal.abort() })).toEqual([])
  })

  test("ends also when what it was to read is purged under its hands", async () => {
    await publish(600)
    const found: number[] = []
    for await (const { seq } of read({ batchMax: 10 })) {
      found.push(seq)
      if (seq === 10) await bus.link.manager.streams.purge(bus.names.events)
    }
    expect(found.slice(0, 10)).toEqual(upTo(10).map((n) => n + 1))
  }, 15_000)

  test("goes on over a kill of the server, and says so when the connection is closed before the end", async () => {
    await publish(2_000)
    const found: number[] = []
    for await (const { seq } of read({ batchMax: 100 })) {
      found.push(seq)
      if (seq === 500) await server.kill9().then(() => server.restart())
    }
    expect(found).toEqual(upTo(2_000).map((n) => n + 1))
    const cut = async () => {
      for await (const { seq } of read({ batchMax: 100 })) if (seq === 50) await bus.link.connection.close()
    }
    await expect(cut()).rejects.toMatchObject({ code: "BUS_CLOSED" })
  })
})
