import { chmod, mkdir, mkdtemp, realpath, rename, rm, symlink, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type RecordingContext, type RecordingOptions, recordSource, until } from "../../test/support/source-context.js"
import { type FilesystemOptions, filesystem } from "./filesystem.js"

let root: string
let outside: string
let settled = 0
const running: { stop(): Promise<void> }[] = []

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "murmur-fs-")))
  outside = await realpath(await mkdtemp(join(tmpdir(), "murmur-out-")))
})

afterEach(async () => {
  for (const run of running.splice(0)) await run.stop().catch(() => {})
  await rm(root, { recursive: true, force: true })
  await rm(outside, { recursive: true, force: true })
})

async function write(path: string, text: string): Promise<void> {
  const file = join(root, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

interface Run extends RecordingContext {
  /** Settles when the source's run ends by itself or is stopped. */
  over: Promise<void>
  /** Stops the source and hands on its failure. */
  end(): Promise<void>
  /** `created a.txt`, in the order in which it was published. */
  said(): string[]
}

async function start(options: Partial<FilesystemOptions> = {}, recording: RecordingOptions = {}): Promise<Run> {
  const source = filesystem("files", { path: root, ...options })
  const record = recordSource(source, recording)
  let ended = false
  const run = (source.run?.(record.ctx) ?? Promise.resolve()).finally(() => {
    ended = true
  })
  run.catch(() => {})
  const end = async (): Promise<void> => {
    record.stop()
    await run
  }
  running.push({ stop: end })
  await until("the tree is being watched", () => ended || record.logs.some((l) => l.message === "watching files"))
  const said = () => record.published.map((d) => `${d.type.replace("file.", "")} ${d.key}`)
  return { ...record, over: run, end, said }
}

/** Everything that happened before has been looked at when the last of these is published. */
async function settle(run: Run): Promise<void> {
  settled += 1
  const path = `settled-${settled}`
  await write(path, "x")
  await until(`${path} is published`, () => run.said().includes(`created ${path}`))
  const at = run.said().indexOf(`created ${path}`)
  run.published.splice(at, 1)
}

describe("filesystem", () => {
  it("says what is created, changed and deleted below the folder", async () => {
    const run = await start({ path: pathToFileURL(root) })
    await write("deep/er/a.txt", "one")
    await until("it is created", () => run.said().length === 1)
    await write("deep/er/a.txt", "three")
    await until("it is changed", () => run.said().length === 2)
    await rm(join(root, "deep"), { recursive: true })
    await until("it is deleted", () => run.said().length === 3)
    expect(run.said()).toEqual(["created deep/er/a.txt", "changed deep/er/a.txt", "deleted deep/er/a.txt"])
    const [created, , deleted] = run.published.map((draft) => draft.data as Record<string, unknown>)
    expect(created).toMatchObject({ root, path: "deep/er/a.txt", sizeBytes: 3 })
    expect(deleted).toMatchObject({ sizeBytes: 5 })
  })

  it("says nothing of a file that is created and deleted within the window", async () => {
    const run = await start()
    await write("brief.txt", "x")
    await rm(join(root, "brief.txt"))
    await settle(run)
    expect(run.said()).toEqual([])
  })

  it("says changed, and nothing else, when an editor saves by rename, again and again", async () => {
    await write("spec.md", "0")
    const run = await start()
    for (let round = 1; round <= 3; round++) {
      await write("spec.md.tmp", "x".repeat(round + 1))
      await rename(join(root, "spec.md.tmp"), join(root, "spec.md"))
      await until(`save ${round} is seen`, () => run.said().length >= round)
    }
    await settle(run)
    expect(run.said()).toEqual(Array(3).fill("changed spec.md"))
  })

  it("says changed when a file is deleted and created again within the window", async () => {
    await write("a.txt", "old")
    const run = await start()
    await rm(join(root, "a.txt"))
    await write("a.txt", "newer")
    await until("it is seen", () => run.said().length > 0)
    await settle(run)
    expect(run.said()).toEqual(["changed a.txt"])
  })

  it("gives a file that was moved away and back two lives with four ids", async () => {
    const run = await start()
    await write("a.txt", "x")
    await until("it is created", () => run.said().length === 1)
    for (const round of [2, 4]) {
      await rename(join(root, "a.txt"), join(outside, "a.txt"))
      await until("it is deleted", () => run.said().length === round)
      await rename(join(outside, "a.txt"), join(root, "a.txt"))
      await until("it is back", () => run.said().length === round + 1)
    }
    expect(run.repeated).toEqual([])
    expect(new Set(run.published.map((draft) => draft.id)).size).toBe(5)
  })

  it("keeps quiet about what is there at the first start, and finds at the next what changed while it was down", async () => {
    await write("kept.txt", "k")
    await write("edited.txt", "e")
    await write("lost.txt", "l")
    const memory = new Map<string, string>()
    const first = await start({}, { memory })
    await first.end()
    expect(first.said()).toEqual([])

    await write("edited.txt", "edited")
    await rm(join(root, "lost.txt"))
    await write("new/found.txt", "n")
    const second = await start({}, { memory })
    expect(second.said().sort()).toEqual(["changed edited.txt", "created new/found.txt", "deleted lost.txt"])
    await second.end()

    const third = await start({}, { memory })
    expect(third.said()).toEqual([])
  })

  it("publishes what is there at the first start when asked to, with bounded work, and remembers thousands of files in few values", async () => {
    for (let i = 0; i < 2_000; i++) await write(`d${i % 20}/f${i}.txt`, `${i}`)
    const memory = new Map<string, string>()
    const first = await start({ initial: "all" }, { memory, onPublish: () => new Promise((r) => setImmediate(r)) })
    expect(first.published.length).toBe(2_000)
    expect(first.inflight.max).toBeLessThanOrEqual(16)
    await first.end()
    expect(memory.size).toBeLessThanOrEqual(257)
    const second = await start({ initial: "all" }, { memory })
    expect(second.said()).toEqual([])
  })

  it("repeats with the same ids what was published but not yet remembered when the process died", async () => {
    await write("gone.txt", "g")
    const memory = new Map<string, string>()
    await (await start({}, { memory })).end()
    await write("a.txt", "a")
    await rm(join(root, "gone.txt"))
    const asOfCrash = new Map(memory)
    const before = await start({}, { memory })
    const after = await start({}, { memory: asOfCrash })
    const ids = (run: Run) => run.published.map((draft) => draft.id).sort()
    expect(ids(before)).toHaveLength(2)
    expect(ids(after)).toEqual(ids(before))
  })

  it("loses nothing when a publish is refused: the next run says it", async () => {
    const memory = new Map<string, string>()
    await (await start({}, { memory })).end()
    await write("a.txt", "a")
    const refusing = await start({}, { memory, onPublish: () => Promise.reject(new Error("stream full")) })
    await expect(refusing.end()).rejects.toThrow("stream full")
    const next = await start({}, { memory })
    expect(next.said()).toEqual(["created a.txt"])
  })

  it("goes on when its memory cannot be written for a while", async () => {
    let down = true
    const memory = new Map<string, string>()
    const onPut = (key: string): void => {
      if (down && key.startsWith("files.")) throw new Error("bucket away")
    }
    const run = await start({ initial: "all" }, { memory, onPut })
    await write("a.txt", "a")
    await until("a write failed", () => run.logs.some((line) => line.message.includes("cannot remember")))
    down = false
    await until("it is remembered after all", () => [...memory.keys()].some((key) => key.startsWith("files.")))
    expect(run.said()).toEqual(["created a.txt"])
  })

  it("hashes small files when asked to, and then a touch is no change", async () => {
    await write("a.txt", "same")
    await write("big.txt", "x".repeat(100))
    const run = await start({ hashContentBelowBytes: 50 })
    await utimes(join(root, "a.txt"), new Date(), new Date(Date.now() - 5_000))
    await utimes(join(root, "big.txt"), new Date(), new Date(Date.now() - 5_000))
    await until("the touch of the large one is seen", () => run.said().length === 1)
    await write("a.txt", "edit")
    await until("the edit is seen", () => run.said().length === 2)
    expect(run.said()).toEqual(["changed big.txt", "changed a.txt"])
    expect(run.published.map((draft) => (draft.data as { sha256?: string }).sha256?.length)).toEqual([undefined, 64])
  })

  it("leaves out the defaults and the given patterns, and forgets what is ignored since", async () => {
    const memory = new Map<string, string>()
    await write("drop/x.txt", "x")
    await (await start({}, { memory })).end()
    await rm(join(root, "drop"), { recursive: true })
    const run = await start({ ignore: ["*.tmp", "/build/**", "drop", /secret/] }, { memory })
    for (const path of [".git/HEAD", "a/node_modules/m.js", "x/y.tmp", "build/out/o.js", "my-secret.txt"]) {
      await write(path, "x")
    }
    await write("src/build/kept.js", "x")
    await until("the one that counts is seen", () => run.said().length > 0)
    await settle(run)
    expect(run.said()).toEqual(["created src/build/kept.js"])
  })

  it("neither follows nor reports symbolic links", async () => {
    await writeFile(join(outside, "secret.txt"), "s")
    const run = await start({ hashContentBelowBytes: 100 })
    await symlink(outside, join(root, "folder"))
    await symlink(join(outside, "secret.txt"), join(root, "file.txt"))
    await settle(run)
    await writeFile(join(outside, "secret.txt"), "changed")
    await settle(run)
    expect(run.said()).toEqual([])
  })

  it("says deleted when a folder is swapped for a link that leads out of the tree", async () => {
    await write("dir/a.txt", "a")
    await writeFile(join(outside, "a.txt"), "other")
    const memory = new Map<string, string>()
    await (await start({}, { memory })).end()
    await rm(join(root, "dir"), { recursive: true })
    await symlink(outside, join(root, "dir"))
    const run = await start({}, { memory })
    expect(run.said()).toEqual(["deleted dir/a.txt"])
  })

  it("fails with SOURCE_PATH when the folder is missing, is a file, or vanishes, and deletes nothing then", async () => {
    const missing = await start({ path: join(root, "nope") })
    await expect(missing.end()).rejects.toMatchObject({ code: "SOURCE_PATH" })
    await write("file", "x")
    const file = await start({ path: join(root, "file") })
    await expect(file.end()).rejects.toMatchObject({ code: "SOURCE_PATH" })

    await write("tree/a.txt", "a")
    const run = await start({ path: join(root, "tree") })
    await rename(join(root, "tree"), join(outside, "tree"))
    await expect(run.over).rejects.toMatchObject({ code: "SOURCE_PATH" })
    expect(run.said()).toEqual([])
  })

  it.skipIf(process.getuid?.() === 0)("logs a file that it may not read, and goes on without its hash", async () => {
    await write("locked.txt", "l")
    await chmod(join(root, "locked.txt"), 0o000)
    const run = await start({ hashContentBelowBytes: 100, initial: "all" })
    await settle(run)
    expect(run.said()).toEqual(["created locked.txt"])
    expect(run.logs.some((line) => line.message.includes("cannot read a file"))).toBe(true)
  })

  it("fails when the tree has more files than wanted", async () => {
    for (let i = 0; i < 5; i++) await write(`f${i}`, "x")
    const run = await start({ filesMax: 4 })
    await expect(run.end()).rejects.toMatchObject({ code: "SOURCE_PATH" })
  })

  it("looks at a file that is written all the time", async () => {
    const run = await start({ debounceMs: 60 })
    let size = 0
    const writing = setInterval(() => void write("log.txt", "x".repeat(++size)), 20)
    try {
      await until("it is seen while it is still written", () => run.said().length > 0)
    } finally {
      clearInterval(writing)
    }
  })

  it("refuses options that it does not know or that make no sense, naming them", () => {
    expect(() => filesystem("files", { path: ".", debounce: 3 } as never)).toThrow('unknown option "debounce"')
    expect(() => filesystem("files", { path: "" })).toThrow("path must be a path or a file: URL")
    expect(() => filesystem("files", { path: ".", debounceMs: 5 })).toThrow("debounceMs must be a number from 60")
    expect(() => filesystem("files", { path: ".", initial: "none" as never })).toThrow("initial must be one of")
    expect(() => filesystem("files", { path: ".", ignore: [""] })).toThrow("ignore must hold patterns")
    expect(() => filesystem("Files!", { path: "." })).toThrow("Cannot name the source")
  })
})
