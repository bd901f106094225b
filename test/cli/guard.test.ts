import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { buildCli, errorOf, jsonOf } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

const Ball = defineEvent("ball.thrown", z.object({ n: z.number() }), { key: () => "court" })
const Fan = defineEvent("fan.asked", z.object({ n: z.number() }))
const Out = defineEvent("fan.out", z.object({ n: z.number() }))

const juggler = defineAgent("juggler", {
  on: [Ball],
  emits: [Ball],
  handle: (event, ctx) => ctx.emit(Ball({ n: event.data.n + 1 })),
})
const fan = defineAgent("fan", {
  on: [Fan],
  emits: [Out],
  handle(event, ctx) {
    for (let n = 0; n < event.data.n; n++) ctx.emit(Out({ n }))
  },
})

interface Tree {
  root: string
  guards: { guard: string; limit: number; used: number; letters: number }[]
  agents: string[]
  path: string[]
  letters: number
}

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh([juggler, fan])
}, 120_000)
afterAll(() => mesh?.stop())

const trees = async (): Promise<Tree[]> => jsonOf<Tree[]>(await mesh.murmur("guard", "ls", "--json"))

/** Waits until a tree is stopped. */
async function stopped(root: string): Promise<Tree> {
  return vi.waitFor(
    async () => {
      const tree = (await trees()).find((found) => found.root === root)
      if (tree === undefined) throw new Error(`${root} is not stopped`)
      return tree
    },
    { timeout: 10_000, interval: 100 },
  )
}

test("A loop that was stopped is listed with its path, goes on with more, and is stopped again", async () => {
  const { id: root } = await mesh.bus.publish(Ball({ n: 0 }), { producer: "test" })
  expect(await stopped(root)).toMatchObject({
    root,
    guards: [{ guard: "cycles", limit: 8, used: 9, letters: 1 }],
    agents: ["juggler"],
    path: Array.from({ length: 10 }, () => "juggler"),
    letters: 1,
  })
  const { stdout } = await mesh.murmur("guard")
  expect(stdout).toContain(`${root}\t`)
  expect(stdout).toContain("cycles 9 of 8\t1\tjuggler -> juggler")

  const resumed = jsonOf(await mesh.murmur("guard", "resume", root, "--json"))
  expect(resumed).toMatchObject({
    root,
    granted: { cycles: 8 },
    retried: [{ agent: "juggler" }],
    failed: [],
    waiting: [],
  })
  await vi.waitFor(async () => expect((await stopped(root)).guards).toMatchObject([{ guard: "hops", used: 17 }]), {
    timeout: 10_000,
    interval: 100,
  })
})

test("What a number is not about stays where it is, and the command says so", async () => {
  const { id: root } = await mesh.bus.publish(Ball({ n: 0 }), { producer: "test" })
  await stopped(root)
  const result = await mesh.murmur("guard", "resume", root, "--hops", "5")
  expect(result).toMatchObject({ code: 0, stdout: "granted 5 hops more; 0 events sent back\n" })
  expect(result.stderr).toContain("1 event of this tree (cycles 9 of 8); grant --cycles as well")
  expect(await mesh.murmur("guard", "resume", root, "--cycles", "1")).toMatchObject({
    code: 0,
    stdout: "granted 1 cycle more; 1 event sent back\n",
  })
  await vi.waitFor(async () => expect((await stopped(root)).guards).toMatchObject([{ limit: 9, used: 10 }]), {
    timeout: 10_000,
    interval: 100,
  })
})

test("Limits are shown, hold on running nodes when they are changed, and a root goes on by the start of its id", async () => {
  const limits = async (...args: string[]) => jsonOf(await mesh.murmur("guard", "limits", "--json", ...args))
  const none = {
    agentDayTokens: null,
    agentDayUsd: null,
    dayTokens: null,
    dayUsd: null,
    monthTokens: null,
    monthUsd: null,
  }
  const standard = { events: 1_000, steps: 1_000, tokens: 2_000_000, usd: 10, ...none, agents: {} }
  expect(await limits()).toEqual(standard)
  expect(await limits("--events", "20")).toEqual({ ...standard, events: 20 })
  const ask = async () => (await mesh.bus.publish(Fan({ n: 30 }), { producer: "test" })).id
  const root = await vi.waitFor(
    async () => {
      const id = await ask()
      expect((await mesh.murmur("dead", "ls", "--json", "--agent", "fan")).stdout).toContain(id)
      return id
    },
    { timeout: 10_000, interval: 100 },
  )
  expect(await stopped(root)).toMatchObject({ guards: [{ guard: "events", limit: 20, used: 30 }], path: ["fan"] })
  expect(jsonOf(await mesh.murmur("guard", "resume", root.slice(0, 34), "--json"))).toMatchObject({
    root,
    granted: { events: 20, steps: 1_000, tokens: 2_000_000, microusd: 10_000_000 },
    retried: [{ agent: "fan" }],
  })
  await vi.waitFor(async () => expect((await trees()).some((tree) => tree.root === root)).toBe(false), {
    timeout: 10_000,
    interval: 100,
  })
  const { stdout } = await mesh.murmur("guard", "limits", "--default")
  expect(stdout).toMatch(/^events\t1000\nsteps\t1000\ntokens\t2000000\nusd\t\$10\.00\nagent-day-tokens\tnone\n/)
})

test("A root that no guard has stopped is an error, and so is a number that grants nothing", async () => {
  const unknown = await mesh.murmur("guard", "resume", "no-such-root", "--json")
  expect(unknown.code).toBe(1)
  expect(errorOf(unknown)).toMatchObject({ code: "GUARD_ROOT_UNKNOWN", message: expect.stringContaining("guard ls") })
  for (const wrong of [["--events", "0"], ["--hops", "many"], []]) {
    const root = wrong.length > 0 ? ["some-root"] : []
    expect((await mesh.murmur("guard", "resume", ...root, ...wrong)).code).toBe(2)
  }
  expect((await mesh.murmur("guard", "limits", "--steps", "3", "--default")).code).toBe(2)
})
