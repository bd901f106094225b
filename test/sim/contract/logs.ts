import { expect } from "vitest"
import { range } from "./node.js"
import type { Rig } from "./rig.js"

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
