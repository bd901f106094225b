import { expect } from "vitest"
import { give, pull, range, type Seen, share } from "./node.js"
import { DEDUP_WINDOW_MS, type Rig } from "./rig.js"

const payload = (text: string): Uint8Array => Buffer.from(text)
const texts = async (records: AsyncIterable<{ data: Uint8Array }>): Promise<string[]> => {
  const all: string[] = []
  for await (const { data } of records) all.push(Buffer.from(data).toString())
  return all
}

/** What the runtime relies on of log streams, by name. */
export const LOGS: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "an append names the last record of its subject, and is refused otherwise": async (rig) => {
    const { log } = await rig.client("a")
    const [one, two] = [rig.names.sessionSubject("x", "1"), rig.names.sessionSubject("x", "2")]
    const first = await log.append(one, payload("a"), 0)
    await expect(log.append(one, payload("b"), 0)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
    await expect(log.append(two, payload("b"), first.seq)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
    const other = await log.append(two, payload("b"), 0)
    const second = await log.append(one, payload("c"), first.seq)
    expect([first.seq, other.seq, second.seq]).toEqual([1, 2, 3])
    expect(await texts(log.read(one, { from: 1 }))).toEqual(["a", "c"])
  },
  "of several that append at once exactly one wins": async (rig) => {
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const subject = rig.names.sessionSubject("x", "1")
    const racers = range(1, 20).map((n) => (n % 2 === 0 ? a : b).log.append(subject, payload(`${n}`), 0))
    const outcomes = await Promise.allSettled(racers)
    const won = outcomes.filter(({ status }) => status === "fulfilled")
    const codes = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason.code] : []))
    expect([won.length, new Set(codes)]).toEqual([1, new Set(["FENCE_CONFLICT"])])
    expect(await texts(a.log.read(subject, { from: 1 }))).toHaveLength(1)
  },
  "a repeat after a lost answer conflicts with the sender's own record and stores nothing": async (rig) => {
    const { log } = await rig.client("a")
    const subject = rig.names.sessionSubject("x", "1")
    const { seq } = await log.append(subject, payload("mine"), 0)
    await expect(log.append(subject, payload("mine"), 0)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
    const last = await log.last(subject)
    expect([last?.seq, Buffer.from(last?.data ?? []).toString()]).toEqual([seq, "mine"])
  },
  "what one has appended the other reads at once, by subject, place and range": async (rig) => {
    const [a, b] = [await rig.client("a"), await rig.client("b")]
    const subject = rig.names.sessionSubject("x", "1")
    let seq = 0
    for (const text of ["a", "b", "c", "d"]) seq = (await a.log.append(subject, payload(text), seq)).seq
    expect(await texts(b.log.read(subject, { from: 2, to: 3 }))).toEqual(["b", "c"])
    expect((await b.log.at(3))?.subject).toBe(subject)
    expect(await b.log.at(9)).toBeUndefined()
    expect(await b.log.last(rig.names.sessionSubject("x", "none"))).toBeUndefined()
    expect(await texts(b.log.read(rig.names.sessionSubject("x", "none"), { from: 1 }))).toEqual([])
  },
  "what is deleted before a record leaves the fence where it is": async (rig) => {
    const { log } = await rig.client("a")
    const [one, two] = [rig.names.sessionSubject("x", "1"), rig.names.sessionSubject("x", "2")]
    await log.append(one, payload("a"), 0)
    await log.append(two, payload("other"), 0)
    const { seq } = await log.append(one, payload("b"), 1)
    await log.deleteBefore(one, seq)
    expect(await texts(log.read(one, { from: 1 }))).toEqual(["b"])
    expect(await log.at(1)).toBeUndefined()
    expect(await texts(log.read(two, { from: 1 }))).toEqual(["other"])
    await expect(log.append(one, payload("c"), 0)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
    await log.append(one, payload("c"), seq)
  },
  "what was acked survives a kill of the server, and so does its fence": async (rig) => {
    const { log } = await rig.client("a")
    const subject = rig.names.sessionSubject("x", "1")
    const { seq } = await log.append(subject, payload("a"), 0)
    await rig.killServer()
    await expect(log.append(subject, payload("b"), 0)).rejects.toMatchObject({ code: "FENCE_CONFLICT" })
    await log.append(subject, payload("b"), seq)
    expect(await texts(log.read(subject, { from: 1 }))).toEqual(["a", "b"])
  },
}

/** What the runtime relies on of the stream of events. */
export const EVENTS: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "an id is stored once inside the window, whatever is in it, also over a kill of the server": async (rig) => {
    const client = await rig.client("a")
    const first = await client.publish(1, { id: "same" })
    expect(await client.publish(2, { id: "same" })).toMatchObject({ seq: first.seq, duplicate: true })
    expect(await client.publish(3, { id: "other" })).toMatchObject({ seq: first.seq + 1, duplicate: false })
    await rig.killServer()
    expect(await client.publish(4, { id: "other" })).toMatchObject({ seq: first.seq + 1, duplicate: true })
  },
  "outside of the window it is stored again, and a repeat inside does not make the window longer": async (rig) => {
    const client = await rig.client("a")
    await client.publish(1, { id: "same" })
    await rig.delay(DEDUP_WINDOW_MS * 0.6)
    expect(await client.publish(2, { id: "same" })).toMatchObject({ duplicate: true })
    await rig.delay(DEDUP_WINDOW_MS * 0.8)
    expect(await client.publish(3, { id: "same" })).toMatchObject({ seq: 2, duplicate: false })
  },
  "the partitions of a key stand in the subject under which its event is stored": async (rig) => {
    const client = await rig.client("a")
    const keys = ["a", "b", "AAPL", "acme/web", "k 1", "ü", ""]
    for (const key of keys) await client.publish(1, { key })
    const tokens = (await rig.storedSubjects()).map((subject) => subject.split(".").slice(2, 6).join(" "))
    expect(tokens).toEqual([
      "4 44 cli a",
      "5 37 cli b",
      "3 11 cli AAPL",
      "6 54 cli acme/web",
      "2 50 cli k%201",
      "6 46 cli %C3%BC",
      "0 32 cli %",
    ])
  },
}

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
