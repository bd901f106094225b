import { describe, expect, test } from "vitest"
import { MurmurError } from "../../errors.js"
import { silentLog } from "../../telemetry/ports.js"
import { runsInNode } from "../tools/in-node.js"
import { memoryToolServices } from "../tools/memory-services.js"
import type { NodeServices } from "../tools/node-services.js"
import type { AnyTool } from "../tools/tool.js"
import { getArtifact } from "./get-artifact.js"
import { putArtifact } from "./put-artifact.js"
import { resolveDate } from "./resolve-date.js"
import { type Task, taskList } from "./task-list.js"

const node: NodeServices = { ...memoryToolServices(), stepTime: new Date(0) }
let calls = 0

async function run<T>(
  tool: AnyTool,
  input: object,
  more: { key?: string; call?: string; agent?: string } = {},
): Promise<T> {
  const { key = "web", agent = "planner", call = `call-${calls++}` } = more
  const signal = new AbortController().signal
  const ctx = { agent, key, attempt: 1, idempotencyKey: call, signal, log: silentLog, node }
  return (await tool.run(tool.input.parse(input), ctx)) as T
}

describe("a list of tasks", () => {
  const list = taskList({ tasksMax: 5 })
  const show = async (input: object = {}, more: Parameters<typeof run>[2] = {}): Promise<string[]> => {
    const { tasks } = await run<{ tasks: Task[] }>(list, input, more)
    return tasks.map(({ id, text, status, note }) => `${id} ${text} ${status}${note ? ` (${note})` : ""}`)
  }

  test("is kept from call to call, one for each agent and key", async () => {
    expect(await show({ add: ["read", "write"] })).toEqual(["1 read open", "2 write open"])
    expect(await show({ update: [{ id: 1, status: "done", note: "easy" }], add: ["test"] })).toEqual([
      ...["1 read done (easy)", "2 write open", "3 test open"],
    ])
    expect(await show({ clear: "done" })).toEqual(["2 write open", "3 test open"])
    expect(await show({}, { key: "api" })).toEqual([])
    expect(await show({}, { agent: "other" })).toEqual([])
    expect(await show({ add: ["again"] })).toEqual(["2 write open", "3 test open", "4 again open"])
    expect(await show({ clear: "all" })).toEqual([])
  })

  test("is changed once by one call, however often it is made", async () => {
    const same = { key: "once", call: "the-same" }
    expect(await show({ add: ["a"] }, same)).toEqual(["1 a open"])
    expect(await show({ add: ["a"] }, same)).toEqual(["1 a open"])
  })

  test("loses nothing when many change it at a time", async () => {
    await Promise.all(["a", "b", "c", "d", "e"].map((text) => show({ add: [text] }, { key: "many" })))
    expect(await show({}, { key: "many" })).toHaveLength(5)
  })

  test("refuses what it cannot do, changes nothing then, and says why", async () => {
    const key = "refused"
    await show({ add: ["a"] }, { key })
    await expect(show({ add: ["b"], update: [{ id: 7 }] }, { key })).rejects.toThrow(
      "there is no task 7 (there are: 1)",
    )
    await expect(show({ add: Array(5).fill("x") }, { key })).rejects.toThrow("6 tasks, and it may have 5")
    expect(await show({}, { key })).toEqual(["1 a open"])
  })
})

describe("artifacts", () => {
  test("are put and got by their id, also in parts", async () => {
    const put = await run<{ id: string }>(putArtifact(), { content: "0123456789", name: "digits" })
    expect(put).toMatchObject({ size: 10, name: "digits", mediaType: "text/plain; charset=utf-8" })
    expect(await run(getArtifact(), { id: put.id })).toEqual({
      ...put,
      content: "0123456789",
      encoding: "utf8",
      truncated: false,
    })
    const some = getArtifact({ maxBytes: 4 })
    expect(await run(some, { id: put.id })).toMatchObject({ content: "0123", truncated: true })
    expect(await run(some, { id: put.id, offset: 8 })).toMatchObject({ content: "89", truncated: false })
  })

  test("that are not there are no answer", async () => {
    await expect(run(getArtifact(), { id: "0".repeat(64) })).rejects.toMatchObject({ code: "TOOL_ARTIFACT" })
  })

  test("that are too large are told as such", async () => {
    const put = async (): Promise<never> => {
      throw new MurmurError("it may have 5", { code: "ARTIFACT_TOO_LARGE" })
    }
    const full = { ...node, artifacts: { ...node.artifacts, put } }
    const ctx = { agent: "a", key: undefined, attempt: 1, idempotencyKey: "k", log: silentLog, node: full }
    const tool = putArtifact()
    const input = tool.input.parse({ content: "123456" })
    await expect(tool.run(input, { ...ctx, signal: new AbortController().signal })).rejects.toMatchObject({
      ...{ code: "TOOL_ARTIFACT", message: "it may have 5" },
    })
  })

  test("are private, and may be anybody's words, unless somebody says otherwise", () => {
    expect(getArtifact()).toMatchObject({ private: true, untrusted: true, effect: "read" })
    expect(getArtifact({ private: false, untrusted: false })).toMatchObject({ private: false, untrusted: false })
  })
})

test("tools that need the node run there, and nowhere else", async () => {
  for (const tool of [taskList(), putArtifact(), getArtifact(), resolveDate()] as AnyTool[]) {
    expect(runsInNode(tool)).toBe(true)
    const signal = new AbortController().signal
    const ctx = { agent: "a", key: undefined, attempt: 1, idempotencyKey: "k", signal, log: silentLog }
    const running = async () => tool.run({ content: "x", id: "x", expression: "now", add: ["x"] }, ctx)
    await expect(running()).rejects.toMatchObject({ code: "TOOL_NODE" })
  }
})

test.each<[() => unknown, string]>([
  [() => taskList({ tasksMax: 0 }), "tasksMax must be an integer from 1 to 1000, is 0"],
  [() => putArtifact({ maxBytes: 1 } as never), 'unknown option "maxBytes"'],
  [() => getArtifact({ maxBytes: -1 }), "maxBytes must be an integer from 1"],
])("wrong options are refused: %#", (make, said) => {
  expect(make).toThrow(expect.objectContaining({ code: "TOOL_OPTION", message: expect.stringContaining(said) }))
})
