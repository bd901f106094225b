import { describe, expect, it } from "vitest"
import type { MurmurEvent } from "../../bus/event.js"
import { columnsOf } from "./columns.js"
import { Feeds } from "./feeds.js"
import { Forest } from "./forest.js"
import { answerHint, hintLines } from "./hints.js"
import { type Paint, treeLines } from "./layout.js"

/** An event as it is seen on the bus: `cause` is the chain from its root, without itself. */
function event(id: string, cause: string[] = [], more: Partial<MurmurEvent> = {}): MurmurEvent {
  return {
    id,
    source: "test",
    type: `test.${id}`,
    time: "2026-01-01T00:00:00Z",
    key: "k",
    data: { title: `title of ${id}` },
    producer: cause.length === 0 ? "feed" : `agent-${id}`,
    seq: 1,
    correlationid: cause[0] ?? id,
    causationid: cause.at(-1),
    hops: cause.length,
    path: [],
    trust: "external",
    trace: undefined,
    extensions: {},
    ...more,
  }
}

const plain: Paint = (_, text) => text
/** What is to be seen of a line besides the time. */
const shown = (lines: string[]): string[] => lines.map((line) => line.slice(10).trimEnd())

describe("the live view", () => {
  it("shows a tree when it has settled: the root, and each reaction under its cause", () => {
    const forest = new Forest()
    expect(forest.add(event("a"), 0)).toBeUndefined()
    expect(forest.add(event("b", ["a"]), 10)?.id).toBe("a")
    forest.add(event("d", ["a"]), 30)
    expect(forest.add(event("c", ["a", "b"], { key: "other" }), 40)).toBeUndefined()
    expect(forest.ripe(200)).toEqual([])
    const [tree, ...none] = forest.ripe(500)
    expect(none).toEqual([])
    expect(tree === undefined ? [] : shown(treeLines(tree, 100, plain))).toEqual([
      "● feed                  test.a              k                       title of a",
      "├─ agent-b              test.b              title of b",
      "│  └─ agent-c           test.c              other  title of c",
      "└─ agent-d              test.d              title of d",
    ])
  })

  it("says how long after its cause a reaction was seen", () => {
    const forest = new Forest()
    forest.add(event("a"), 0)
    forest.add(event("b", ["a"]), 12)
    forest.add(event("c", ["a", "b"]), 1_512)
    const lines = forest.ripe(9_000).flatMap((tree) => treeLines(tree, 100, plain))
    expect(lines.slice(1).map((line) => line.slice(0, 8))).toEqual(["  +12 ms", "  +1.5 s"])
  })

  it("goes on with a tree that was shown, and says so", () => {
    const forest = new Forest()
    forest.add(event("a"), 0)
    forest.add(event("b", ["a"]), 1)
    forest.ripe(1_000)
    forest.add(event("c", ["a", "b"]), 5_000)
    const lines = forest.ripe(9_000).flatMap((tree) => treeLines(tree, 100, plain))
    expect(shown(lines)).toEqual([
      "○ feed                  test.a              k                       (goes on)",
      "└─ agent-c              test.c              title of c",
    ])
  })

  it("shows a tree that never rests all the same", () => {
    const forest = new Forest()
    forest.add(event("a"), 0)
    for (let at = 0; at <= 2_000; at += 100) forest.add(event(`b${at}`, ["a"]), at)
    expect(forest.ripe(2_000)).toHaveLength(1)
  })

  it("shows reactions whose root is older than the view", () => {
    const forest = new Forest()
    forest.add(event("b", ["gone"]), 0)
    const lines = forest.ripe(1_000).flatMap((tree) => treeLines(tree, 100, plain))
    expect(shown(lines)[0]).toBe("○ an event from before, gone")
  })

  it("leaves out the rest of a tree whose beginning was left out", () => {
    const forest = new Forest()
    forest.add(event("a"), 0)
    forest.add(event("b", ["a"]), 1)
    for (const tree of forest.ripe(1_000)) tree.hide()
    forest.add(event("c", ["a", "b"]), 2_000)
    expect(forest.ripe(3_000)).toMatchObject([{ hidden: true, continued: true }])
  })

  it("keeps to the width, and large trees to a few lines", () => {
    const forest = new Forest()
    forest.add(event("a", [], { key: "日本語のとても長いキー", data: { title: "長い".repeat(100) } }), 0)
    for (let n = 0; n < 50; n++)
      forest.add(event(`b${n}`, ["a"], { producer: `an-agent-with-a-very-long-name-${n}` }), 1)
    const [tree] = forest.ripe(1_000)
    for (const width of [40, 60, 80, 100, 120, 200]) {
      const lines = tree === undefined ? [] : treeLines(tree, width, plain)
      expect(lines).toHaveLength(15)
      expect(lines.at(-1)).toMatch(/and 37 more/)
      for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(width)
    }
  })

  it("counts feeds that lead to nothing, by type and with some of their keys", () => {
    const feeds = new Feeds()
    for (let n = 0; n < 12; n++) feeds.came(event(`t${n}`, [], { type: "market.tick", key: `S${n % 7}` }))
    const pushed = ["acme/web", "acme/api"].map((key) => event(key, [], { type: "repo.pushed", key }))
    for (const push of pushed) feeds.came(push)
    for (const push of pushed.slice(1)) feeds.reacted(push)
    expect(feeds.take()).toEqual(["12 × market.tick   S0, S1, S2, S3, S4 and 2 more", "1 × repo.pushed   acme/web"])
    expect(feeds.take()).toEqual([])
  })

  it("hints at commands that a shell takes as they stand, whatever the event says", () => {
    const root = event("it's; rm -rf ~", [], { type: "ci.run.completed" })
    const sample = event("s", [], { type: "note.added", key: "a b", data: { text: "it's\u001b[2J" } })
    const lines = hintLines({ http: "http://127.0.0.1:4300", flags: " --mesh demo", root, sample, takesGithub: true })
    expect(lines.join("\n")).toContain(`npx murmur trace 'it'\\''s; rm -rf ~' --mesh demo`)
    expect(lines.join("\n")).toContain(
      `npx murmur publish note.added --key 'a b' --data '{"text":"it'\\''s\\u001b[2J"}'`,
    )
    expect(lines.join("\n")).toContain("http://127.0.0.1:4300/hooks/github")
    expect(lines.join("\n")).not.toContain("\u001b")
  })

  it("says how a question is answered, and of nothing else", () => {
    const data = { id: "7MGPfYQfvB0r1Id", question: "May it?", choices: ["no", "yes"] }
    const asked = event("q", [], { type: "murmur.question.asked", data })
    expect(answerHint(asked, " --mesh demo")).toBe("npx murmur ask answer 7MGPfYQf <no|yes> --mesh demo")
    const forged = event("f", [], { type: "murmur.question.asked", data: { id: "`rm` x\u001b[2J", question: "?" } })
    expect(answerHint(forged, "")).toBe("npx murmur ask answer '`rm` x\\u001b[' <...>")
    expect(answerHint(event("o", [], { type: "note.added", data }), "")).toBeUndefined()
  })
})
