import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { busLogs } from "../src/agents/bus-ports.js"
import { systemClock } from "../src/agents/clock.js"
import { type AgentDefinition, type AgentState, defineAgent } from "../src/agents/define-agent.js"
import { openSessions, type SessionPorts } from "../src/agents/sessions/session-store.js"
import { testAgent } from "../src/agents/test-agent.js"
import type { Bus } from "../src/bus/bus.js"
import { defineEvent } from "../src/bus/define-event.js"
import { type SealedEvent, seal } from "../src/bus/encode.js"
import type { MeshNames } from "../src/bus/subjects.js"
import { readSession } from "../src/node/session-view.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const sessionPorts = (bus: Bus): SessionPorts => ({
  names: bus.names,
  clock: systemClock,
  log: busLogs(bus, "any").sessions,
})

const Paid = defineEvent("bank.paid", z.object({ account: z.string(), amount: z.number() }), { key: (d) => d.account })
const Balance = defineEvent("bank.balance", z.object({ balance: z.number(), n: z.number() }))

interface Account {
  readonly balance: number
  readonly n: number
}

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

const teller = (more: { snapshotEvery?: number; keepCommits?: number; warmBytesMax?: number } = {}): AgentDefinition =>
  defineAgent("teller", {
    on: [Paid],
    emits: [Balance],
    state: {
      initial: { balance: 0, n: 0 } as Account,
      evolve: {
        Booked: (state: Account, data: { amount: number }) => ({
          balance: state.balance + data.amount,
          n: state.n + 1,
        }),
      },
      ...more,
    },
    handle(event, ctx) {
      ctx.record("Booked", { amount: event.data.amount })
      ctx.emit(Balance({ balance: ctx.state.balance, n: ctx.state.n }, { key: event.data.account }))
    },
  })

const pay = (amount: number, account = "a", id?: string) => Paid({ account, amount }, id === undefined ? {} : { id })

async function publish(of: TestMesh, drafts: ReturnType<typeof pay>[]): Promise<void> {
  for await (const _ of of.bus.publishMany(drafts, { producer: "cli" }));
}

async function commitsOf(of: TestMesh, key: string): Promise<number> {
  const names: MeshNames = of.bus.names
  const info = await of.bus.link.manager.streams.info(names.sessionsOf("any"), {
    subjects_filter: names.sessionSubject("teller", key),
  })
  return Object.values(info.state.subjects ?? {})[0] ?? 0
}

test("a session's state is the fold of its log, on this node and on the next", async () => {
  mesh = await startMesh({ agents: [teller()] })
  await publish(mesh, [pay(1), pay(2), pay(10, "b"), pay(4)])
  await take(mesh.bus, "bank.balance", 4)
  await mesh.node.stop()
  await mesh.addNode({ agents: [teller()] })
  await publish(mesh, [pay(8)])
  const seen = await take(mesh.bus, "bank.balance", 5)
  expect(seen.filter(({ key }) => key === "a").map(({ data }) => data)).toEqual([
    { balance: 1, n: 1 },
    { balance: 3, n: 2 },
    { balance: 7, n: 3 },
    { balance: 15, n: 4 },
  ])
})

test("an event that was committed does not run again: not by its sequence, and not stored twice under its id", async () => {
  mesh = await startMesh({ agents: [teller()] })
  await publish(mesh, [pay(1, "a", "once"), pay(2)])
  await take(mesh.bus, "bank.balance", 2)
  // the same event stored a second time, as after the dedup window
  const { connection } = mesh.bus.link
  const stored = await mesh.bus.link.manager.streams.getMessage(mesh.bus.names.events, { seq: 1 })
  connection.publish("test.ev.cli.a.bank.paid", stored?.data)
  await publish(mesh, [pay(4)])
  const seen = await take(mesh.bus, "bank.balance", 3)
  expect(seen.at(-1)?.data).toEqual({ balance: 7, n: 3 })
  expect(await commitsOf(mesh, "a")).toBe(3)
})

test("snapshots shorten the fold and change nothing", async () => {
  mesh = await startMesh({ agents: [teller({ snapshotEvery: 10 })] })
  await publish(
    mesh,
    Array.from({ length: 55 }, () => pay(1)),
  )
  await take(mesh.bus, "bank.balance", 55)
  expect(await commitsOf(mesh, "a")).toBe(55 + 5)
  const { state } = teller({ snapshotEvery: 10 })
  if (state === undefined) throw new Error("it has state")
  const session = await openSessions(sessionPorts(mesh.bus), "teller", state).load("a")
  expect(session.state).toEqual({ balance: 55, n: 55 })
  expect(session.commits).toBe(55)
  expect(session.sinceSnapshot).toBe(5)
  const other = await openSessions(sessionPorts(mesh.bus), "teller", { ...state, version: 2 }).load("a")
  expect(other.state).toEqual({ balance: 55, n: 55 })
  expect(other.sinceSnapshot).toBe(5)
})

/** A session of 43 payments of which at least eight commits are kept. */
async function trimmedMesh(): Promise<{ of: TestMesh; state: AgentState }> {
  const agent = teller({ snapshotEvery: 5, keepCommits: 8 })
  mesh = await startMesh({ agents: [agent] })
  await publish(
    mesh,
    Array.from({ length: 43 }, () => pay(1)),
  )
  await take(mesh.bus, "bank.balance", 43)
  if (agent.state === undefined) throw new Error("it has state")
  return { of: mesh, state: agent.state }
}

test("a trimmed session keeps as many commits as it should, from a snapshot on, and its state at each of them", async () => {
  const { of, state } = await trimmedMesh()
  const { commits } = await readSession(of.bus, "teller", "a", "end")
  // the newest snapshot lies behind commit 40; of those before it ten are kept, as whole stretches between snapshots
  expect(commits).toHaveLength(13)
  expect(await commitsOf(of, "a")).toBe(13 + 3)
  for (const [n, { seq }] of commits.entries()) {
    const then = await readSession(of.bus, "teller", "a", { seq })
    expect(then).toMatchObject({ seq, state: { balance: 31 + n, n: 31 + n } })
  }
  const first = commits[0]?.seq ?? 0
  expect(await readSession(of.bus, "teller", "a", { seq: first - 1 })).toMatchObject({
    state: { balance: 30 },
    commits: [],
  })
  for (const at of [{ seq: first - 2 }, { seq: 1 }, { time: new Date(0) }]) {
    await expect(readSession(of.bus, "teller", "a", at)).rejects.toMatchObject({
      code: "SESSION_TRIMMED",
      message: expect.stringContaining(`what is kept begins at ${first - 1}`),
    })
  }
  const session = await openSessions(sessionPorts(of.bus), "teller", state).load("a")
  expect([session.state, session.commits]).toEqual([{ balance: 43, n: 43 }, 43])
})

test("a trimmed session of another version needs a migrate, and goes on from what that makes of it", async () => {
  const { of, state } = await trimmedMesh()
  const cents = {
    ...state,
    version: 2,
    initial: { cents: 0 },
    evolve: { Booked: (to: { cents: number }, data: { amount: number }) => ({ cents: to.cents + data.amount * 100 }) },
  }
  await expect(openSessions(sessionPorts(of.bus), "teller", cents).load("a")).rejects.toMatchObject({
    code: "STATE_MIGRATE",
    name: "TerminalError",
    message: expect.stringMatching(/begins with state version 1, and the agent has version 2.*state\.migrate/),
  })
  const versions: number[] = []
  const migrate = (old: unknown, version: number): unknown => {
    versions.push(version)
    return { cents: (old as Account).balance * 100 }
  }
  const sessions = openSessions(sessionPorts(of.bus), "teller", { ...cents, migrate })
  const session = await sessions.load("a")
  expect([session.state, session.commits, versions]).toEqual([{ cents: 4_300 }, 43, [1]])
  // the same state, whatever was trimmed: a session that was not is folded anew
  await publish(of, [pay(2, "b")])
  await take(of.bus, "bank.balance", 44)
  expect((await sessions.load("b")).state).toEqual({ cents: 200 })
})

test("a step on a trimmed session of another version is given up with that error, not tried again", async () => {
  const { of } = await trimmedMesh()
  const changed = defineAgent("teller", {
    on: [Paid],
    state: { initial: 0, version: 2, evolve: { Booked: (sum: number, data: { amount: number }) => sum + data.amount } },
    handle: (event, ctx) => ctx.record("Booked", event.data),
  })
  await of.node.replace({ agents: [changed], sources: [] })
  await publish(of, [pay(1)])
  await until("it is given up", () => of.node.hosts[0]?.stats.deadLetters === 1)
  expect(of.node.hosts[0]?.stats.failures).toBe(1)
})

test("sessions that do not fit into memory are read again when they are needed", async () => {
  mesh = await startMesh({ agents: [teller({ warmBytesMax: 2_000 })] })
  const drafts = Array.from({ length: 120 }, (_, i) => pay(1, `account ${i % 40}`))
  await publish(mesh, drafts)
  const seen = await take(mesh.bus, "bank.balance", 120)
  for (let i = 0; i < 40; i++) {
    const balances = seen.filter(({ key }) => key === `account ${i}`).map(({ data }) => (data as Account).balance)
    expect(balances).toEqual([1, 2, 3])
  }
})

test("of two writers of a session one is refused, folds again, and nothing is lost or doubled", async () => {
  mesh = await startMesh({ agents: [teller()] })
  await publish(mesh, [pay(1)])
  await take(mesh.bus, "bank.balance", 1)
  // another writer: a zombie that still believes to own the partition
  const { state } = teller()
  if (state === undefined) throw new Error("it has state")
  const zombie = openSessions(sessionPorts(mesh.bus), "teller", state)
  const session = await zombie.load("a")
  const record = {
    kind: "commit" as const,
    cause: { id: "foreign", type: "bank.paid", seq: 0 },
    entries: [{ name: "Booked", data: { amount: 100 } }],
    changes: [],
    outputs: [],
    attempt: 1,
    code: "zombie",
    stateVersion: 1,
    snapshot: 0,
    at: new Date().toISOString(),
  }
  expect(await zombie.commit(session, record)).toBe("stored")
  await publish(mesh, [pay(2)])
  const seen = await take(mesh.bus, "bank.balance", 2)
  expect(seen.at(-1)?.data).toEqual({ balance: 103, n: 3 })
  expect(await zombie.commit(session, { ...record, cause: { ...record.cause, id: "late" } })).toBe("conflict")
})

test("what is committed waits until its outputs are taken, and is no dead letter", async () => {
  mesh = await startMesh({ agents: [teller()] })
  await publish(mesh, [pay(1)])
  await take(mesh.bus, "bank.balance", 1)
  // no room for outputs, while commits are taken
  const { manager } = mesh.bus.link
  const { events } = mesh.bus.names
  const sessions = mesh.bus.names.sessionsOf("any")
  await publish(mesh, [pay(2)])
  await take(mesh.bus, "bank.balance", 2)
  await manager.streams.update(events, { discard: "new", max_msgs: 5 } as never)
  await publish(mesh, [pay(4)])
  await until("it is committed", async () => {
    const info = await manager.streams.info(sessions)
    return info.state.messages === 3
  })
  await manager.streams.update(events, { max_msgs: -1, discard: "old" } as never)
  const seen = await take(mesh.bus, "bank.balance", 3)
  expect(seen.at(-1)?.data).toEqual({ balance: 7, n: 3 })
  expect(mesh.node.hosts[0]?.stats).toMatchObject({ failures: 0, deadLetters: 0 })
})

test("what ran once does not run again: a failed step gets the recorded answers", async () => {
  const charged: string[] = []
  const attempts: number[] = []
  const shop = defineAgent("shop", {
    on: [Paid],
    emits: [Balance],
    retry: { attempts: 4, backoffMs: 1 },
    async handle(event, ctx) {
      const receipt = await ctx.run("charge", () => {
        charged.push(event.data.account)
        return { receipt: charged.length }
      })
      attempts.push(ctx.attempt)
      if (ctx.attempt < 3) throw new Error("after the charge")
      await ctx.run("mail", () => charged.push("mail"))
      ctx.emit(Balance({ balance: receipt.receipt, n: ctx.attempt }, { key: event.data.account }))
    },
  })
  mesh = await startMesh({ agents: [shop] })
  await publish(mesh, [pay(5)])
  const [seen] = await take(mesh.bus, "bank.balance", 1)
  expect(seen?.data).toEqual({ balance: 1, n: 3 })
  expect(charged).toEqual(["a", "mail"])
  expect(attempts).toEqual([1, 2, 3])
})

test("a step that asks for something else than it did before is an error that names both, and is not repeated", async () => {
  const shop = defineAgent("shop", {
    on: [Paid],
    retry: { attempts: 4, backoffMs: 1 },
    async handle(_, ctx) {
      await ctx.run(ctx.attempt === 1 ? "charge" : "refund", () => 1)
      throw new Error("again")
    },
  })
  mesh = await startMesh({ agents: [shop] })
  await publish(mesh, [pay(5)])
  await until("it is given up", () => mesh?.node.hosts[0]?.stats.deadLetters === 1)
  expect(mesh.node.hosts[0]?.stats.failures).toBe(2)
})

test("testAgent keeps state, and with replay always every run begins again after each journaled call", async () => {
  let runs = 0
  let done = 0
  const agent = defineAgent("counting", {
    on: [Paid],
    emits: [Balance],
    state: { initial: 0, evolve: { Added: (sum: number, amount: number) => sum + amount } },
    async handle(event, ctx) {
      runs += 1
      const a = await ctx.run("a", () => ++done)
      const b = await ctx.run("b", () => ++done)
      ctx.record("Added", event.data.amount)
      ctx.emit(Balance({ balance: ctx.state, n: a * 10 + b }, { key: "a" }))
    },
  })
  const bench = testAgent(agent, { replay: "always" })
  const { emitted } = await bench.given(pay(1)).when(pay(2))
  expect(emitted.map(({ data }) => data)).toEqual([{ balance: 3, n: 34 }])
  expect([runs, done]).toEqual([6, 4])
  expect(await bench.state("a")).toBe(3)
  const dice = defineAgent("dice", {
    on: [Paid],
    async handle(_, ctx) {
      await ctx.run(`roll ${Math.random()}`, () => 1)
    },
  })
  const { dead } = await testAgent(dice, { replay: "always" }).when(pay(1))
  expect(dead[0]?.error).toMatchObject({ code: "NONDETERMINISM" })
})

test("outputs that a dead node committed and did not publish are published, also behind a commit that came another way", async () => {
  mesh = await startMesh({ agents: [teller()] })
  await publish(mesh, [pay(1)])
  await take(mesh.bus, "bank.balance", 1)
  await mesh.node.stop()
  const { seq } = await mesh.bus.publish(pay(2, "a", "cut off"), { producer: "cli" })
  const { state } = teller()
  if (state === undefined) throw new Error("it has state")
  const dead = openSessions(sessionPorts(mesh.bus), "teller", state)
  const session = await dead.load("a")
  const output = seal(Balance({ balance: 3, n: 2 }, { key: "a" }), { mesh: "test", producer: "teller" }, "its output")
  const commit = (id: string, of: number, outputs: SealedEvent[]) => ({
    kind: "commit" as const,
    cause: { id, type: "bank.paid", seq: of },
    entries: [{ name: "Booked", data: { amount: 2 } }],
    changes: [],
    outputs,
    attempt: 1,
    code: "dead",
    stateVersion: 1,
    snapshot: 0,
    at: new Date().toISOString(),
  })
  expect(await dead.commit(session, commit("cut off", seq, [output]))).toBe("stored")
  expect(await dead.commit(session, commit("sent to it alone", 0, []))).toBe("stored")
  await mesh.addNode({ agents: [teller()] })
  await publish(mesh, [pay(4)])
  const seen = await take(mesh.bus, "bank.balance", 3)
  expect(seen.map(({ data }) => (data as { n: number }).n)).toEqual([1, 2, 4])
  expect(seen[1]?.id).toBe("its output")
})
