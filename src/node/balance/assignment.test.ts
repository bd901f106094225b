import { expect, test } from "vitest"
import { placesOf } from "./assignment.js"

const nodesOf = (count: number): string[] => Array.from({ length: count }, (_, n) => `node-${n}`)
const firsts = (agent: string, partitions: number, nodes: readonly string[]): string[] =>
  placesOf(agent, partitions, nodes).map(({ first }) => first)
const countsOf = (owners: readonly string[], nodes: readonly string[]): number[] =>
  nodes.map((node) => owners.filter((owner) => owner === node).length)

test.each([1, 8, 64])(
  "%i partitions: every one is somebody's, and no share is more than one above another",
  (partitions) => {
    for (let count = 1; count <= 70; count += count < 12 ? 1 : 9) {
      const nodes = nodesOf(count)
      const counts = countsOf(firsts("booker", partitions, nodes), nodes)
      expect(counts.reduce((sum, n) => sum + n)).toBe(partitions)
      expect(Math.max(...counts) - Math.min(...counts), `${count} nodes`).toBeLessThanOrEqual(1)
    }
  },
)

test("all nodes come to the same, whatever order they see each other in", () => {
  const nodes = nodesOf(7)
  expect(placesOf("booker", 64, nodes.toReversed())).toEqual(placesOf("booker", 64, nodes))
})

test("the second of a partition is who owns it when the first is gone", () => {
  const nodes = nodesOf(5)
  for (const gone of nodes) {
    const after = firsts(
      "booker",
      64,
      nodes.filter((node) => node !== gone),
    )
    for (const [partition, { first, second }] of placesOf("booker", 64, nodes).entries()) {
      if (first === gone) expect(second).toBe(after[partition])
    }
  }
})

test("a node that is alone has no second", () => {
  expect(placesOf("booker", 1, ["node-1"])).toEqual([{ first: "node-1", second: undefined }])
})

test("agents of one partition spread over the nodes", () => {
  const nodes = nodesOf(4)
  const owners = Array.from({ length: 400 }, (_, n) => firsts(`agent-${n}`, 1, nodes)[0] ?? "")
  for (const count of countsOf(owners, nodes)) expect(count).toBeGreaterThan(70)
})

/** How many of the partitions that could have stayed where they were, moved; over many agents. */
function needlessMoves(partitions: number, from: readonly string[], to: readonly string[]): number {
  const agents = Array.from({ length: 200 }, (_, n) => `agent-${n}`)
  const moved = agents.map((agent) => {
    const before = firsts(agent, partitions, from)
    const after = firsts(agent, partitions, to)
    const moves = before.filter((owner, n) => owner !== after[n]).length
    const needed = Math.max(
      before.filter((owner) => !to.includes(owner)).length,
      after.filter((owner) => !from.includes(owner)).length,
    )
    return moves - needed
  })
  return moved.reduce((sum, n) => sum + n) / (agents.length * partitions)
}

test.each([
  [8, 1, 2],
  [8, 2, 3],
  [8, 3, 4],
  [8, 4, 3],
  [64, 4, 5],
  [64, 5, 4],
  [64, 10, 9],
])("%i partitions, %i nodes become %i: on average less than a fifth moves that need not", (partitions, from, to) => {
  expect(needlessMoves(partitions, nodesOf(from), nodesOf(to))).toBeLessThan(0.2)
})

test("a node replaced by one of another name takes over about what that one had", () => {
  const before = nodesOf(4)
  const after = ["node-new", ...before.slice(1)]
  expect(needlessMoves(8, before, after)).toBeLessThan(0.25)
})
