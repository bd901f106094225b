import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { z } from "zod"
import { type RecordingOptions, recordSource, until } from "../../test/support/source-context.js"
import { defineEvent } from "../bus/define-event.js"
import type { ReplayOptions } from "./replay/options.js"
import { replay } from "./replay.js"
import type { SourceDefinition } from "./source.js"

const TickData = z.object({ symbol: z.string(), price: z.number() })
type Tick = z.infer<typeof TickData>
const Ticked = defineEvent("test.ticked", TickData, { key: (data) => data.symbol })

let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "murmur-replay-"))
  file = join(folder, "ticks.csv")
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const define = (options: Partial<ReplayOptions<Tick>> = {}): SourceDefinition =>
  replay({
    name: "ticks",
    file,
    event: Ticked,
    timeField: "at",
    speed: "max",
    map: (row) => ({ symbol: String(row.symbol), price: Number(row.price) }),
    ...options,
  })

async function play(options: Partial<ReplayOptions<Tick>> = {}, recording: RecordingOptions = {}) {
  const source = define(options)
  const record = recordSource(source, recording)
  await source.run?.(record.ctx)
  return record
}

const csv = (...rows: string[]): Promise<void> => writeFile(file, `at,symbol,price\n${rows.join("\n")}\n`)
const rows = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${1_704_189_600 + i},${"ABC"[i % 3]},${i}`)

describe("replay", () => {
  it("publishes each row once, in the order of its key, with its own time and a derived id", async () => {
    await csv(...rows(300))
    const slow = (draft: { key?: string | undefined }) =>
      new Promise<void>((r) => setTimeout(r, draft.key === "A" ? 2 : 0))
    const record = await play({}, { onPublish: slow })
    expect(record.published).toHaveLength(300)
    for (const key of "ABC") {
      const prices = record.published.filter((d) => d.key === key).map((d) => (d.data as Tick).price)
      expect(prices).toEqual([...prices].sort((a, b) => a - b))
    }
    const first = record.published.find((draft) => (draft.data as Tick).price === 0)
    expect(first).toMatchObject({ time: "2024-01-02T10:00:00.000Z", id: expect.stringMatching(/^rp:/) })
    expect(new Set(record.published.map((draft) => draft.id)).size).toBe(300)
    expect(record.inflight.max).toBeGreaterThan(1)
  })

  it("goes on where it was when the node restarts in the middle, and says nothing when nothing is new", async () => {
    await csv(...rows(50))
    const memory = new Map<string, string>()
    const source = define({})
    const first = recordSource(source, {
      memory,
      onPublish: () => {
        if (first.published.length === 20) first.stop()
      },
    })
    await source.run?.(first.ctx)
    expect(first.published.length).toBeLessThan(50)
    const second = await play({}, { memory })
    expect(first.published.length + second.published.length).toBe(50)
    const ids = [...first.published, ...second.published].map((draft) => draft.id)
    expect(new Set(ids).size).toBe(50)
    expect((await play({}, { memory })).published).toEqual([])
    await appendFile(file, "1704190000,A,99\n")
    expect((await play({}, { memory })).published.map((draft) => draft.data)).toEqual([{ symbol: "A", price: 99 }])
  })

  it("repeats the same ids after a crash, and keeps the position behind a row that was not acked", async () => {
    await csv(...rows(9))
    const memory = new Map<string, string>()
    const refuse = (draft: { key?: string | undefined; data: unknown }): void => {
      if ((draft.data as Tick).price === 4) throw new Error("stream full")
    }
    const source = define()
    const failing = recordSource(source, { memory, onPublish: refuse })
    await expect(source.run?.(failing.ctx)).rejects.toThrow("stream full")
    expect(JSON.parse(memory.get("position") ?? "{}").row).toBeLessThanOrEqual(4)
    const next = await play({}, { memory })
    const all = new Set([...failing.published, ...next.published].map((draft) => draft.id))
    expect(all.size).toBe(9)
    const whole = await play()
    expect(new Set(whole.published.map((draft) => draft.id))).toEqual(all)
  })

  it("begins anew, with new ids, when the file is another one", async () => {
    await csv(...rows(5))
    const memory = new Map<string, string>()
    const before = await play({}, { memory })
    await csv("1704189600,Z,1", ...rows(5))
    const after = await play({}, { memory })
    expect(after.published).toHaveLength(6)
    expect(after.logs.some((line) => line.message.includes("not the one"))).toBe(true)
    const old = new Set(before.published.map((draft) => draft.id))
    expect(after.published.filter((draft) => old.has(draft.id))).toEqual([])
  })

  it("plays from the start as a new pass when it is not to resume", async () => {
    await csv(...rows(3))
    const memory = new Map<string, string>()
    const before = await play({ resume: false }, { memory })
    const after = await play({ resume: false }, { memory })
    expect(after.published).toHaveLength(3)
    expect(new Set([...before.published, ...after.published].map((draft) => draft.id)).size).toBe(6)
  })

  it("loops with new ids each pass until it is stopped, at the given speed", async () => {
    await csv("1704189600,A,1", "1704189700,A,2")
    const source = define({ loop: true, speed: 10_000, timeline: "now" })
    const record = recordSource(source)
    const began = Date.now()
    const run = source.run?.(record.ctx)
    await until("three passes were played", () => record.published.length >= 6)
    record.stop()
    await run
    // Each pass lasts 100 s / 10,000 = 10 ms.
    expect(Date.now() - began).toBeGreaterThanOrEqual(25)
    expect(record.repeated).toEqual([])
    expect(Math.abs(Date.parse(record.published[0]?.time ?? "") - began)).toBeLessThan(5_000)
  })

  it("ends a loop over a file that has nothing to publish", async () => {
    await csv("never,A,1")
    expect((await play({ loop: true, speed: 1 })).published).toEqual([])
  })

  it("stops at once while it waits for the next row", async () => {
    await csv("1704189600,A,1", "1999999999,A,2")
    const source = define({ speed: 1 })
    const record = recordSource(source)
    const run = source.run?.(record.ctx)
    await until("the first row is published", () => record.published.length === 1)
    record.stop()
    await run
    expect(record.published).toHaveLength(1)
  })

  it("reads JSON Lines, CRLF, a byte order mark, and a file given by URL", async () => {
    const path = join(folder, "ticks.ndjson")
    await writeFile(path, '\uFEFF{"t":{"at":1},"symbol":"A","price":1}\r\n{"t":{"at":2},"symbol":"B","price":2}')
    const record = await play({ file: pathToFileURL(path), timeField: (row) => (row.t as { at: number }).at })
    expect(record.published.map((draft) => draft.key).sort()).toEqual(["A", "B"])
  })

  it("logs with its line what it cannot use, and goes on", async () => {
    await csv("1704189600,A,1", "soon,A,2", "1704189600,A", '1704189600,"A"x,3', "1704189600,A,NaN", "1704189600,,5")
    const map: ReplayOptions<Tick>["map"] = (row) => {
      if (row.symbol === "") throw new Error("no symbol")
      return { symbol: String(row.symbol), price: Number(row.price) }
    }
    const record = await play({ map })
    expect(record.published).toHaveLength(1)
    const lines = record.logs.filter((line) => line.level === "warn").map((line) => line.fields.line as number)
    expect(lines.sort()).toEqual([3, 4, 5, 6, 7])
    expect(record.logs.at(-1)?.fields).toMatchObject({ published: 1, skipped: 5 })
  })

  it("stops at what it cannot use when asked to, naming the line", async () => {
    await csv("1704189600,A,1", "soon,A,2")
    await expect(play({ onMalformed: "stop" })).rejects.toMatchObject({ code: "REPLAY_ROW", details: { line: 3 } })
    await csv("1704189600,A,NaN")
    await expect(play({ onMalformed: "stop" })).rejects.toMatchObject({ code: "REPLAY_ROW", details: { line: 2 } })
  })

  it("leaves out a row for which there is no data, and says time, line and pass to map", async () => {
    await csv("1704189600,A,1", "1704189601,B,2")
    const seen: unknown[] = []
    const record = await play({
      map: (row, info) => {
        seen.push([info.time.toISOString(), info.line, info.pass])
        return row.symbol === "A" ? undefined : { symbol: "B", price: 2 }
      },
    })
    expect(record.published).toHaveLength(1)
    expect(seen).toEqual([
      ["2024-01-02T10:00:00.000Z", 2, 0],
      ["2024-01-02T10:00:01.000Z", 3, 0],
    ])
  })

  it("plays real daily prices", async () => {
    const stocks = new URL("../../node_modules/vega-datasets/data/stocks.csv", import.meta.url)
    const source = replay({
      name: "stocks",
      file: stocks,
      format: "csv",
      event: Ticked,
      timeField: "date",
      speed: "max",
      map: (row) => ({ symbol: row.symbol ?? "", price: Number(row.price) }),
    })
    const record = recordSource(source)
    await source.run?.(record.ctx)
    expect(record.published.length).toBe(560)
    expect(record.published.find((draft) => draft.key === "MSFT")).toMatchObject({ time: "2000-01-01T00:00:00.000Z" })
  })

  it("fails clearly when the file is missing or its header is no header", async () => {
    await expect(play({ file: join(folder, "none.csv") })).rejects.toMatchObject({ code: "SOURCE_PATH" })
    await writeFile(file, "at,at\n1,2\n")
    await expect(play()).rejects.toMatchObject({ code: "REPLAY_FILE" })
  })

  it("refuses options that make no sense, naming them", () => {
    expect(() => define({ spead: 1 } as never)).toThrow('unknown option "spead"')
    expect(() => define({ speed: 0 })).toThrow("speed must be a number")
    expect(() => define({ loop: true })).toThrow("would fill the store")
    expect(() => define({ file: "" })).toThrow("file must be a path")
    expect(() => define({ timeField: "" })).toThrow("timeField must be")
    expect(() => define({ delimiter: "::" })).toThrow("delimiter must be one character")
    expect(() => define({ onMalformed: "ignore" as never })).toThrow("onMalformed must be one of")
  })
})
