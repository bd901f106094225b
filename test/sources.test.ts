import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../src/bus/define-event.js"
import { filesystem } from "../src/sources/filesystem.js"
import { replay } from "../src/sources/replay.js"
import { schedule } from "../src/sources/schedule.js"
import { defineSource } from "../src/sources/source.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Beat = defineEvent("beat.struck", z.object({ n: z.number() }))

let mesh: TestMesh | undefined
const folders: string[] = []
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "murmur-sources-"))
  folders.push(made)
  return made
}

test("what a source publishes is external, checked, and stored before publish resolves", async () => {
  const outcomes: unknown[] = []
  const beats = defineSource("beats", {
    emits: [Beat],
    async run(ctx) {
      outcomes.push(await ctx.publish(Beat({ n: 1 })))
      outcomes.push(await ctx.publish(Beat({ n: "two" as unknown as number })).catch(({ code }) => code))
      outcomes.push(await ctx.publish({ type: "other.thing", data: {} }).catch(({ code }) => code))
    },
  })
  mesh = await startMesh({ sources: [beats] })
  const [beat] = await take(mesh.bus, "beat.*", 1)
  expect(beat).toMatchObject({ producer: "beats", trust: "external", hops: 0, data: { n: 1 } })
  await until("it is done", () => mesh?.node.sources[0]?.state === "done")
  expect(outcomes).toEqual([expect.objectContaining({ seq: 1 }), "EVENT_DATA", "EMIT_UNDECLARED"])
})

test("a source that fails is started again with what it remembers", async () => {
  const flaky = defineSource("flaky", {
    emits: [Beat],
    async run(ctx) {
      const n = ((await ctx.state.get<number>("a key/with. odd*chars")) ?? 0) + 1
      await ctx.state.put("a key/with. odd*chars", n)
      await ctx.publish(Beat({ n }))
      if (n < 3) throw new Error("not yet")
    },
  })
  mesh = await startMesh({ sources: [flaky] })
  const beats = await take(mesh.bus, "beat.*", 3)
  expect(beats.map(({ data }) => (data as { n: number }).n)).toEqual([1, 2, 3])
  const remembered: unknown[] = []
  for await (const entry of mesh.node.sources[0]?.ctx.state.entries() ?? []) remembered.push(entry)
  expect(remembered).toEqual([["a key/with. odd*chars", 3]])
})

test("a schedule is kept by the server and fires on one node of two", async () => {
  const job = schedule("jobs", {
    emits: [Beat],
    jobs: [{ name: "each-second", cron: "* * * * * *", event: (due) => Beat({ n: due.at.getTime() }, { id: due.id }) }],
  })
  mesh = await startMesh({ sources: [job] })
  await mesh.addNode({ sources: [job] })
  const beats = await take(mesh.bus, "beat.*", 3)
  expect(new Set(beats.map(({ id }) => id)).size).toBe(3)
  const times = beats.map(({ data }) => Math.round((data as { n: number }).n / 1_000))
  expect(times).toEqual([times[0], (times[0] ?? 0) + 1, (times[0] ?? 0) + 2])
})

test("files that are made, changed and removed become events, also while the node was down", async () => {
  const path = folder()
  const files = filesystem("specs", { path })
  mesh = await startMesh({ sources: [files] })
  const node = mesh.node
  await until("it watches", async () => {
    writeFileSync(join(path, "probe.md"), String(Date.now()))
    const info = await node.bus.link.manager.streams.info(node.bus.names.events)
    return info.state.messages > 0
  })
  await node.stop()
  writeFileSync(join(path, "made while down.md"), "x")
  unlinkSync(join(path, "probe.md"))
  await mesh.addNode({ sources: [files] })
  const seen: string[] = []
  for await (const event of mesh.bus.observe("file.>", { from: "start", signal: AbortSignal.timeout(20_000) })) {
    seen.push(`${event.type} ${event.key}`)
    if (seen.includes("file.created made while down.md") && seen.includes("file.deleted probe.md")) return
  }
  throw new Error(`saw only ${seen.join(", ")}`)
})

test("a replay goes on where it was and repeats no row", async () => {
  const path = join(folder(), "beats.csv")
  const lines = Array.from(
    { length: 200 },
    (_, n) => `${new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString()},${n}`,
  )
  writeFileSync(path, ["time,n", ...lines].join("\n"))
  const rows = () =>
    replay({
      name: "history",
      file: path,
      event: Beat,
      map: (row) => ({ n: Number(row.n) }),
      timeField: "time",
      speed: "max",
    })
  mesh = await startMesh({ sources: [rows()] })
  await take(mesh.bus, "beat.*", 200)
  await mesh.node.stop()
  await mesh.addNode({ sources: [rows()] })
  await until("the second run is over", async () => {
    const info = await mesh?.bus.link.manager.streams.info("test_EVENTS")
    return info?.state.messages === 200
  })
})
