import { PassThrough } from "node:stream"
import { afterEach, expect, test, vi } from "vitest"
import { readLines } from "./lines.js"
import { Output } from "./output.js"
import { counted, cut, duration, printable, shortJson } from "./text.js"
import { pastTime } from "./usage.js"

afterEach(() => vi.useRealTimers())

function printed(terminal: { isTTY: boolean; columns?: number }): { out: Output; text: () => string } {
  const stream = new PassThrough()
  const out = new Output(Object.assign(stream, terminal) as unknown as NodeJS.WriteStream)
  return { out, text: () => (stream.read() as Buffer).toString() }
}

test("A terminal gets a table with a heading, aligned, cut to its width, in colour unless NO_COLOR says otherwise", async () => {
  vi.stubEnv("TERM", "xterm")
  vi.stubEnv("NO_COLOR", "")
  const { out, text } = printed({ isTTY: true, columns: 14 })
  await out.table(
    ["name", "state"],
    [
      ["a", "running"],
      ["longer", "stopped"],
    ],
  )
  expect(text()).toBe("\u001b[2mNAME    STATE\u001b[22m\na       runni…\nlonger  stopp…\n")
  vi.stubEnv("NO_COLOR", "1")
  const plain = printed({ isTTY: true, columns: 80 })
  await plain.out.table(["name"], [["x"]])
  expect(plain.text()).toBe("NAME\nx\n")
})

test("A pipe gets one row a line, columns separated by one tab, nothing cut", async () => {
  const { out, text } = printed({ isTTY: false })
  await out.table(
    ["name", "note"],
    [
      ["a", "tab\there"],
      ["b", "x".repeat(500)],
    ],
  )
  expect(text()).toBe(`a\ttab\\u0009here\nb\t${"x".repeat(500)}\n`)
})

test("JSON is one line for a pipe and indented for a terminal", async () => {
  const pipe = printed({ isTTY: false })
  await pipe.out.json([{ a: 1 }])
  expect(pipe.text()).toBe('[{"a":1}]\n')
  const terminal = printed({ isTTY: true })
  await terminal.out.json([{ a: 1 }])
  expect(JSON.parse(terminal.text())).toEqual([{ a: 1 }])
})

test("A reader that leaves ends the printing without an error", async () => {
  const stream = new PassThrough()
  const out = new Output(stream as unknown as NodeJS.WriteStream)
  let closed = 0
  out.onClosed = () => {
    closed += 1
  }
  stream.emit("error", Object.assign(new Error("broken pipe"), { code: "EPIPE" }))
  await out.line("nobody sees this")
  expect(closed).toBe(1)
  expect(stream.read()).toBeNull()
})

test("Text from the mesh cannot steer a terminal", () => {
  expect(printable("\u001b[2J\u009b1m\u202etxt\n")).toBe("\\u001b[2J\\u009b1m\\u202etxt\\u000a")
  expect(shortJson({ a: "\u009b" }, 40)).toBe('{"a":"\\u009b"}')
  expect(cut("abcdef", 4)).toBe("abc…")
})

test("Durations and counts are for people", () => {
  const texts = [850, 12_345, 240_000, 3 * 3_600_000, 5 * 86_400_000].map(duration)
  expect(texts).toEqual(["850 ms", "12.3 s", "4 min", "3 h", "5 d"])
  expect([counted(1, "event"), counted(2, "event")]).toEqual(["1 event", "2 events"])
})

test("A time in the past is how long ago, or a time", () => {
  vi.useFakeTimers({ now: Date.parse("2026-01-02T00:00:00Z") })
  const read = pastTime("--since")
  expect(["500ms", "90s", "10m", "2h", "1.5d"].map((text) => read(text).toISOString())).toEqual([
    "2026-01-01T23:59:59.500Z",
    "2026-01-01T23:58:30.000Z",
    "2026-01-01T23:50:00.000Z",
    "2026-01-01T22:00:00.000Z",
    "2025-12-31T12:00:00.000Z",
  ])
  expect(read("2026-01-01T00:00:00+02:00").toISOString()).toBe("2025-12-31T22:00:00.000Z")
  for (const wrong of ["", "10", "10 parsecs", "-5m", "2026-13-01", "yesterday"])
    expect(() => read(wrong)).toThrow("--since must be")
})

test("Lines are split at newlines only, whatever the chunks, and blank ones are left out but counted", async () => {
  const bytes = Buffer.from('{"a":"é\u2028"}\r\n\n  \n"last"')
  for (const size of [1, 2, 3, 7, 100]) {
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const lines = []
    for await (const line of readLines(chunks())) lines.push(line)
    expect(lines).toEqual([
      { number: 1, text: '{"a":"é\u2028"}' },
      { number: 4, text: '"last"' },
    ])
  }
})

test("A line that is not UTF-8 or has no end is refused by its number", async () => {
  const read = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const _ of readLines(chunks));
  }
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("1\n")
    yield Buffer.from([0xff, 0x0a])
  }
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(1024 * 1024, 0x20)
  }
  await expect(read(broken())).rejects.toMatchObject({ code: "INPUT_LINE", message: expect.stringContaining("line 2") })
  await expect(read(endless())).rejects.toMatchObject({
    code: "INPUT_LINE",
    message: expect.stringContaining("16 MiB"),
  })
})
