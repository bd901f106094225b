import { beforeEach, expect, test } from "vitest"
import type { Clock } from "../../agents/clock.js"
import type { AgentHost } from "../../agents/host.js"
import { silentLog } from "../../telemetry/ports.js"
import { PRESENCE_TTL_MS } from "../buckets.js"
import { placesOf } from "./assignment.js"
import { Balance } from "./balance.js"
import { Members } from "./members.js"

const PARTITIONS = 8
const ALL = Array.from({ length: PARTITIONS }, (_, n) => n)

let now = 0
let due: { at: number; work: () => void }[] = []
const clock: Clock = {
  now: () => now,
  steady: () => now,
  delay: () => Promise.resolve(),
  after: (ms, work) => {
    const timer = { at: now + ms, work }
    due.push(timer)
    return () => {
      due = due.filter((each) => each !== timer)
    }
  },
}

let members: Members
let owned: number[]
let left: Set<number>
let handed: number[]
let handOver: (partition: number) => Promise<boolean>

const host = (ordering: "key" | "none" = "key"): AgentHost =>
  ({
    agent: { name: "booker", partitions: PARTITIONS, ordering },
    get owned() {
      return owned
    },
    leave: (partition: number, leaves: boolean) => (leaves ? left.add(partition) : left.delete(partition)),
    handOver: (partition: number) => {
      handed.push(partition)
      return handOver(partition)
    },
  }) as unknown as AgentHost

beforeEach(() => {
  now = 1_000_000
  due = []
  owned = []
  left = new Set()
  handed = []
  members = new Members(clock)
  handOver = async (partition) => {
    owned = owned.filter((each) => each !== partition)
    return true
  }
})

/** A sign of life of another node. */
const seen = (id: string, has: readonly number[] = [], more: { draining?: boolean; partitions?: number } = {}): void =>
  members.note(id, {
    ...{ id, host: "h", pid: 1, version: "1", since: "", http: null, sources: [], routesRevision: 0, ...more },
    agents: [
      {
        ...{ name: "booker", state: "running", active: true, blocked: null, steps: 0, failures: 0, retries: 0 },
        ...{ deadLetters: 0, lateDropped: 0, sessions: 0, inflight: 0, owned: has },
        partitions: more.partitions ?? PARTITIONS,
      },
    ],
  })

/** A balance of the node "a" that is at work. */
function begin(ordering?: "key" | "none"): Balance {
  const hosts = [host(ordering)]
  const balance = new Balance({ nodeId: "a", members, clock, log: silentLog, hosts: () => hosts })
  for (const each of hosts) balance.place(each)
  balance.start()
  return balance
}

async function pass(ms: number, meanwhile = (): void => {}): Promise<void> {
  for (const end = now + ms; now < end; ) {
    now += 100
    if (now % 2_000 === 0) meanwhile()
    for (const timer of due.filter(({ at }) => at <= now)) {
      due = due.filter((each) => each !== timer)
      timer.work()
    }
    for (let n = 0; n < 5; n++) await Promise.resolve() // what was handed over is noted
  }
}

const firstsOf = (node: string, nodes: readonly string[]): number[] =>
  ALL.filter((partition) => placesOf("booker", PARTITIONS, nodes)[partition]?.first === node)

test("a node that is alone pulls everything", () => {
  begin()
  expect([...left]).toEqual([])
})

test("with another one it pulls its half, and what the other has taken, in case that one dies", () => {
  const others = firstsOf("b", ["a", "b"])
  expect(others).toHaveLength(4)
  seen("b", others.slice(0, 1))
  begin()
  expect([...left].sort()).toEqual(others.slice(1))
})

test("of several it stands by only for what would come to it", () => {
  const nodes = ["a", "b", "c"]
  for (const id of ["b", "c"]) seen(id, firstsOf(id, nodes))
  begin()
  const places = placesOf("booker", PARTITIONS, nodes)
  const pulled = ALL.filter((partition) => !left.has(partition))
  expect(pulled).toEqual(ALL.filter((n) => [places[n]?.first, places[n]?.second].includes("a")))
})

test("what belongs to a node that has come is handed to it when the number of nodes has stood for a while", async () => {
  owned = [...ALL]
  begin()
  await pass(10_000)
  expect(handed).toEqual([])
  seen("b")
  await pass(2_500, () => seen("b"))
  expect(handed).toEqual([])
  await pass(2_500, () => seen("b"))
  expect(handed.sort()).toEqual(firstsOf("b", ["a", "b"]))
  expect(owned).toEqual(firstsOf("a", ["a", "b"]))
})

test("while nodes come and go nothing is handed over", async () => {
  owned = [...ALL]
  begin()
  for (let n = 0; n < 10; n++) {
    seen(`node-${n}`)
    await pass(2_000)
  }
  expect(handed).toEqual([])
})

test("what came here because its owner died is not handed back to a dead one", async () => {
  const others = firstsOf("b", ["a", "b"])
  seen("b", others)
  begin()
  await pass(6_000, () => seen("b", others))
  owned = [...ALL] // b has died: its pins have run out
  await pass(PRESENCE_TTL_MS - 1_000)
  expect(handed).toEqual([])
  await pass(2_000)
  expect([...left], "b counts no more").toEqual([])
})

test("what cannot be handed over, or comes back, is not tried again at once, and less and less often", async () => {
  const [partition = 0] = firstsOf("b", ["a", "b"])
  handOver = async () => false
  owned = [partition]
  seen("b")
  begin()
  const tries: number[] = []
  for (let second = 0; second < 240; second++) {
    await pass(1_000, () => seen("b"))
    tries.push(handed.length)
  }
  expect([tries[20], tries[50], tries[110], tries[239]]).toEqual([1, 2, 3, 4])
})

test("nodes that leave, and those whose code divides the agent otherwise, get nothing", () => {
  seen("b", [], { draining: true })
  seen("c", [], { partitions: 64 })
  begin()
  expect([...left]).toEqual([])
})

test("of an agent whose events come in no order nothing is anybody's", async () => {
  seen("b")
  owned = [0]
  begin("none")
  await pass(10_000, () => seen("b"))
  expect([[...left], handed]).toEqual([[], []])
})

test("it looks no more when it has stopped", async () => {
  owned = [...ALL]
  begin().stop()
  seen("b")
  await pass(10_000, () => seen("b"))
  expect(handed).toEqual([])
})
