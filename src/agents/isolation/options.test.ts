import { expect, test } from "vitest"
import { defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"

const handle = (): void => {}

test("an agent runs in its node unless it says otherwise", () => {
  expect(defineAgent("a", { on: ["x"], handle })).toMatchObject({ isolation: "none", memoryMbMax: 256 })
  const isolated = defineAgent("a", { on: ["x"], handle, isolation: "worker", memoryMbMax: 100 })
  expect(isolated).toMatchObject({ isolation: "worker", memoryMbMax: 100 })
})

test.each([
  [{ isolation: "thread" }, 'isolation must be "none" or "worker", is "thread"'],
  [{ isolation: "worker", memoryMbMax: 16 }, "memoryMbMax must be an integer >= 48, is 16"],
  [{ isolation: "worker", memoryMbMax: 2e9 }, "memoryMbMax must be an integer <= 1048576, is 2000000000"],
  [{ memoryMbMax: 100 }, '"memoryMbMax" goes with isolation "worker"'],
])("wrong options are errors that say what was wanted: %o", (options, message) => {
  expect(() => defineAgent("a", { on: ["x"], handle, ...options } as never)).toThrow(message)
})

test.each([{ isolation: "worker" }, { isolation: "none" }])("pipelines run in their node: %o", (options) => {
  const define = () => defineAgent("a", { on: ["x"], react: (events: unknown) => events, ...options } as never)
  expect(define).toThrow('"isolation" goes with "handle", not with "react"')
})

test("a test of an agent runs its handler where the test is", async () => {
  let pid: number | undefined
  const agent = defineAgent("a", {
    on: ["x"],
    isolation: "worker",
    handle: () => {
      pid = process.pid
    },
  })
  await testAgent(agent).when({ type: "x", data: {} })
  expect(pid).toBe(process.pid)
})
