import { afterAll, beforeAll, expect, test } from "vitest"
import { Bucket } from "../src/bus/bucket.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { Counters } from "../src/bus/counters.js"
import { readHistory } from "../src/bus/reader.js"
import { StreamLog } from "../src/bus/record-log.js"
import type { DueStep } from "../src/bus/timers.js"
import { until } from "./support/mesh.js"
import { startTestCluster, type TestCluster } from "./support/nats-cluster.js"
import type { TestServer } from "./support/nats-server.js"

let cluster: TestCluster
let bus: Bus
const open: Bus[] = []

beforeAll(async () => {
  cluster = await startTestCluster()
  bus = await connect(cluster.url)
  await bus.ensureStreams({ replicas: 3 })
})
afterAll(async () => {
  for (const one of open) await one.close()
  await cluster?.stop()
})

async function connect(url: string): Promise<Bus> {
  const one = await openBus({ url, name: "test", mesh: "test" })
  open.push(one)
  return one
}

const things = (of: Bus): Promise<Bucket> => Bucket.open(of.link, "test_things", { replicas: 3 })
const at = (place: number): TestServer => cluster.servers[place] as TestServer

/** Writes at the leader while a server that follows stands still; what is read from that one right then is behind. */
async function whileOneIsBehind(
  stream: string,
  write: (leading: Bus) => Promise<void>,
  read: (behind: Bus) => Promise<void>,
): Promise<void> {
  const leader = await cluster.leaderOf(stream)
  const follower = at((leader + 1) % 3)
  const [leading, behind] = [await connect(at(leader).url), await connect(follower.url)]
  follower.pause()
  try {
    await write(leading)
  } finally {
    follower.resume()
  }
  await read(behind)
}

/** Ends the server that leads a stream, and begins it again when all is done. */
async function withoutLeader(stream: string, work: () => Promise<void>): Promise<void> {
  const leader = at(await cluster.leaderOf(stream))
  await leader.kill9()
  try {
    await work()
  } finally {
    await leader.restart()
    await cluster.healthy()
  }
}

test("history is whole also from a server that is behind", async () => {
  const { events } = bus.names
  const filter = bus.names.storedFilter("note.added")
  const publish = async (leading: Bus): Promise<void> => {
    const drafts = Array.from({ length: 3_000 }, (_, n) => ({ type: "note.added", data: { n, text: "x".repeat(300) } }))
    for await (const _ of leading.publishMany(drafts, { producer: "cli", inflightMax: 1_000 }));
  }
  for (let round = 1; round <= 3; round++) {
    await whileOneIsBehind(events, publish, async (behind) => {
      let read = 0
      for await (const _ of readHistory(behind.link, { stream: events, filter, from: { seq: 1 } })) read += 1
      expect(read).toBe(round * 3_000)
    })
  }
})

test("a session's log is whole also from a server that is behind", async () => {
  const stream = bus.names.sessionsOf("teller")
  const subject = "test.ses.teller.k"
  let last = 0
  const append = async (leading: Bus): Promise<void> => {
    const log = new StreamLog(leading.link, leading.publisher, stream)
    for (let n = 0; n < 500; n++) ({ seq: last } = await log.append(subject, Buffer.from("x".repeat(300)), last))
  }
  for (let round = 1; round <= 3; round++) {
    await whileOneIsBehind(stream, append, async (behind) => {
      const log = new StreamLog(behind.link, behind.publisher, stream)
      let read = 0
      for await (const _ of log.read(subject, { from: 1 })) read += 1
      expect(read).toBe(round * 500)
      expect((await log.last(subject))?.seq).toBe(last)
    })
  }
})

test("a bucket is read as it was last written, also from a server that is behind", async () => {
  await things(bus)
  for (let round = 1; round <= 3; round++) {
    const write = async (leading: Bus): Promise<void> => {
      const bucket = await things(leading)
      for (let n = 0; n < 300; n++) await bucket.put(`round-${round}.${n}`, "x".repeat(500))
      await bucket.put("last", round)
    }
    await whileOneIsBehind("KV_test_things", write, async (behind) => {
      const bucket = await things(behind)
      expect((await bucket.get("last"))?.value).toBe(round)
      let read = 0
      for await (const _ of bucket.entries(`round-${round}.>`)) read += 1
      expect(read).toBe(300)
    })
  }
})

test("while servers elect a leader, buckets are written all the same", async () => {
  const bucket = await things(bus)
  const first = await bucket.put("changing", 1)
  await withoutLeader("KV_test_things", async () => {
    const written = [bucket.put("a", 1), bucket.delete("last")] // these may have been lost with the server, and are sent again
    await untilNobodyLeads(bucket)
    await Promise.all([...written, bucket.create("b", 2), bucket.update("changing", 3, first)])
    const values = await Promise.all(["a", "b", "changing", "last"].map(async (key) => (await bucket.get(key))?.value))
    expect(values).toEqual([1, 2, 3, undefined])
  })
}, 60_000)

/** Whether a create or an update that is lost with the server was done, nobody knows: they are begun when it is known to be gone. */
async function untilNobodyLeads(bucket: Bucket): Promise<void> {
  let refused = false
  const look = (): void =>
    void bucket.putNow("look", 0).catch(({ name }: Error) => {
      refused ||= name === "JetStreamNotEnabled"
    })
  const looking = setInterval(look, 20)
  await until("nobody leads the bucket", () => refused).finally(() => clearInterval(looking))
}

test("watches and observers go on when the server that keeps them is killed, and while it is away", async () => {
  const ending = new AbortController()
  const { signal } = ending
  const seen = new Map<string, Set<unknown>>()
  const note = (who: string, value: unknown): void => void seen.get(who)?.add(value)
  const following: Promise<void>[] = []
  // six of each: some are kept by the server that is killed, and some of their clients are connected to it
  for (let n = 0; n < 6; n++) {
    const one = await connect(at(n % 3).url)
    const [watcher, observer] = [`watcher ${n}`, `observer ${n}`]
    seen.set(watcher, new Set()).set(observer, new Set())
    following.push(
      (async () => {
        for await (const change of (await things(one)).watch({ signal, filter: "seen" }))
          if (!("synced" in change)) note(watcher, change.value)
      })(),
      (async () => {
        for await (const { data } of one.observe("seen", { signal, from: "start" })) note(observer, data)
      })(),
    )
  }
  const bucket = await things(bus)
  const tellAll = async (value: number): Promise<void> => {
    await bucket.put("seen", value)
    await bus.publish({ type: "seen", data: value }, { producer: "cli" })
    const deaf = (): string[] => [...seen].flatMap(([who, values]) => (values.has(value) ? [] : [who]))
    await until(`${value} is seen`, () => deaf().length === 0, 30_000).catch(() => expect(deaf()).toEqual([]))
  }
  await tellAll(1)
  await withoutLeader("KV_test_things", () => tellAll(2))
  await withoutLeader(bus.names.events, () => tellAll(3))
  ending.abort()
  await Promise.all(following)
}, 120_000)

test("counters count each addition once over the end of their leader", async () => {
  const counters = new Counters(bus.link, bus.publisher, bus.names)
  const counter = { root: "root", kind: "steps" }
  const additions: Promise<number>[] = []
  for (let n = 0; n < 200; n++) additions.push(counters.add(counter, 1, `first-${n}`))
  await withoutLeader(bus.names.budgets, async () => {
    for (let n = 0; n < 200; n++) additions.push(counters.add(counter, 1, `second-${n}`))
    await Promise.all(additions)
  })
  expect(await counters.total(counter)).toBe(400)
}, 60_000)

test("timers fire over the end of their leader: each at its time or when there is a leader again, and none is lost", async () => {
  const ending = new AbortController()
  const due: DueStep[] = []
  const consuming = bus.timers.consume("teller", async (step) => void due.push(step), ending.signal)
  const durables = async (): Promise<number> =>
    (await bus.link.manager.streams.info(bus.names.timers)).state.consumer_count
  await until("it is kept which are due", async () => (await durables()) > 0)
  const soon = new Date(Date.now() + 2_000)
  for (let n = 0; n < 20; n++) await bus.timers.set("teller", { step: `step-${n}`, position: 0, key: "k" }, soon)
  await withoutLeader(bus.names.timers, async () => {
    const steps = (): Set<string> => new Set(due.map(({ step }) => step))
    await until("all are due", () => steps().size === 20, 40_000)
  })
  ending.abort()
  await consuming
}, 90_000)
