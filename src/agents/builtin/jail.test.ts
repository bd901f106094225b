import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { silentLog } from "../../telemetry/ports.js"
import type { AnyTool } from "../tools/tool.js"
import { readFile } from "./read-file.js"
import { writeFile } from "./write-file.js"

let base: string
let root: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "murmur-jail-"))
  root = join(base, "root")
  mkdirSync(join(root, "inner"), { recursive: true })
  mkdirSync(join(base, "rooted"))
  writeFileSync(join(base, "secret"), "CANARY")
  writeFileSync(join(base, "rooted", "secret"), "CANARY")
  writeFileSync(join(root, "note"), "hello")
  writeFileSync(join(root, "inner", "deep"), "deep")
  symlinkSync("../secret", join(root, "link"))
  symlinkSync("..", join(root, "up"))
  symlinkSync(base, join(root, "away"))
  symlinkSync("/etc/passwd", join(root, "passwd"))
  symlinkSync("inner", join(root, "within"))
  symlinkSync("loop", join(root, "loop"))
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

const run = async (tool: AnyTool, input: object): Promise<Record<string, unknown>> => {
  const signal = new AbortController().signal
  const ctx = { agent: "a", key: undefined, attempt: 1, idempotencyKey: "k", signal, log: silentLog }
  return (await tool.run(tool.input.parse(input), ctx)) as Record<string, unknown>
}
const read = (path: string, more = {}) => run(readFile({ root, ...more }), { path })
const write = (path: string, content = "EVIL", more = {}) => run(writeFile({ root, ...more }), { path, content })
const untouched = (): void => {
  expect(readFileSync(join(base, "secret"), "utf8")).toBe("CANARY")
  expect(readdirSync(base).sort()).toEqual(["root", "rooted", "secret"])
  expect(readdirSync(join(base, "rooted"))).toEqual(["secret"])
}

const escapes: string[] = [
  ...[
    "..",
    "../secret",
    "inner/../../secret",
    "./../secret",
    "inner/../../root/note",
    "..\\secret",
    "inner\\..\\..\\secret",
  ],
  ...[
    "/etc/passwd",
    "//etc/passwd",
    "\\\\host\\share",
    "C:\\x",
    "c:x",
    "link",
    "passwd",
    "up/secret",
    "up/rooted/secret",
  ],
  ...[
    "away/secret",
    "away/root/../secret",
    "up/root/up/secret",
    "note\0",
    "note\0.txt",
    "../root\0/note",
    "\0",
    "",
    ".",
  ],
  ...["loop", "inner/", "note/", "../rooted/secret", "x".repeat(5_000), "inner/.."],
]

describe("nothing leads out of the folder", () => {
  test.each(escapes)("to read %j", async (path) => {
    await expect(read(path)).rejects.toMatchObject({ code: expect.stringMatching(/^TOOL_(REFUSED|FILE)$/) })
  })

  test.each(escapes)("to write %j", async (path) => {
    await expect(write(path)).rejects.toMatchObject({ code: expect.stringMatching(/^TOOL_(REFUSED|FILE)$/) })
    untouched()
  })

  test.each(["up/new", "away/new", "up/new/deeper/file", "away/rooted/new", "link/new"])("to make %j", async (path) => {
    await expect(write(path)).rejects.toMatchObject({ code: expect.stringMatching(/^TOOL_(REFUSED|FILE)$/) })
    untouched()
  })

  test("by another spelling of its own name", async () => {
    await expect(read("../ROOT/note")).rejects.toMatchObject({ code: "TOOL_REFUSED" })
    await expect(read("NOTE")).rejects.toMatchObject({ code: "TOOL_FILE" })
    await expect(read("no%74e")).rejects.toMatchObject({ code: "TOOL_FILE" })
  })

  test("while somebody swaps a file for a link, again and again", async () => {
    const flip = join(root, "flip")
    const found = new Set<unknown>()
    for (let turn = 0; turn < 60; turn++) {
      rmSync(flip, { force: true })
      writeFileSync(flip, "mine")
      const reading = read("flip").then(
        ({ content }) => content,
        (error) => error.code,
      )
      await new Promise((resolve) => setImmediate(resolve))
      rmSync(flip, { force: true })
      symlinkSync("../secret", flip)
      found.add(await reading)
    }
    expect(found).not.toContain("CANARY")
  })

  test("not even by a message: the place of the folder is told to nobody", async () => {
    for (const path of ["missing", "note/x", "link", "inner"]) {
      const error = await read(path).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(Error)
      expect(`${error.message} ${JSON.stringify(error.details)}`).not.toContain(base)
    }
  })
})

describe("reading", () => {
  test("brings a file, also by a link that stays inside", async () => {
    expect(await read("note")).toEqual({ content: "hello", encoding: "utf8", size: 5, truncated: false })
    expect(await read("within/deep")).toMatchObject({ content: "deep" })
    expect(await read("./inner//deep")).toMatchObject({ content: "deep" })
  })

  test("brings so much at a time", async () => {
    expect(await read("note", { maxBytes: 2 })).toMatchObject({ content: "he", size: 5, truncated: true })
    expect(await run(readFile({ root, maxBytes: 2 }), { path: "note", offset: 4 })).toMatchObject({
      ...{ content: "o", truncated: false },
    })
    expect(await run(readFile({ root }), { path: "note", offset: 99 })).toMatchObject({ content: "" })
  })

  test("does not wait for a pipe, and reads no folder", async () => {
    execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", join(root, "pipe")])
    await expect(read("pipe")).rejects.toThrow("it is no file")
    await expect(read("inner")).rejects.toThrow("it is no file")
  })

  test("tells bytes from text", async () => {
    writeFileSync(join(root, "bytes"), Buffer.from([0, 255]))
    expect(await read("bytes")).toMatchObject({ content: "AP8=", encoding: "base64" })
  })
})

describe("writing", () => {
  test("makes folders and files, replaces files, and leaves nothing else behind", async () => {
    expect(await write("a/b/c.txt", "one")).toEqual({ path: "a/b/c.txt", size: 3 })
    await write("a/b/c.txt", "two")
    expect(readFileSync(join(root, "a/b/c.txt"), "utf8")).toBe("two")
    expect(readdirSync(join(root, "a/b"))).toEqual(["c.txt"])
    await write("within/new", "x")
    expect(existsSync(join(root, "inner/new"))).toBe(true)
  })

  test("keeps to its size", async () => {
    await expect(write("big", "12345", { maxBytes: 4 })).rejects.toMatchObject({ code: "TOOL_REFUSED" })
    expect(existsSync(join(root, "big"))).toBe(false)
  })

  test("writes bytes as well", async () => {
    await run(writeFile({ root }), { path: "bytes", content: "AP8=", encoding: "base64" })
    expect([...readFileSync(join(root, "bytes"))]).toEqual([0, 255])
  })
})

test.each<[() => unknown, string]>([
  [() => readFile({} as never), "root must be a folder, is undefined"],
  [() => readFile({ root: "x", maxBytes: -1 }), "maxBytes must be an integer from 1"],
  [() => writeFile({ root: "x", private: true } as never), 'unknown option "private"'],
  [() => writeFile(null as never), "its options must be an object, are null"],
])("wrong options are refused: %#", (make, said) => {
  expect(make).toThrow(expect.objectContaining({ code: "TOOL_OPTION", message: expect.stringContaining(said) }))
})
