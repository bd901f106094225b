import { describe, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent, type HandlerOptions } from "../src/agents/define-agent.js"
import { durableInfo } from "../src/bus/consumers.js"
import { defineEvent } from "../src/bus/define-event.js"
import type { EventDraft, MurmurEvent } from "../src/bus/event.js"
import { DeadLetterRetry, DeadLetters, type StoredLetter } from "../src/node/dead-letter-store.js"
import { readSession } from "../src/node/session-view.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Order = defineEvent("nap.order", z.object({ n: z.number(), key: z.string(), ms: z.number().default(0) }), {
  key: (d) => d.key,
})
const Done = defineEvent("nap.done", z.object({ n: z.number(), saw: z.unknown() }))

type Handler = HandlerOptions<[typeof Order]>["handle"]

const order = (n: number, ms = 0, key = "a"): EventDraft => Order({ n, key, ms }, { id: `order-${n}` })

const napper = (handle: Handler, more: Partial<HandlerOptions<[typeof Order]>> = {}): AgentDefinition =>
  defineAgent("napper", { on: [Order], emits: [Done], retry: { attempts: 3, backoffMs: 1 }, handle, ...more } as never)

const numbers = (events: readonly MurmurEvent[]) => events.map(({ data }) => (data as { n: number }).n)

/** A mesh of its own for one test, so that tests can sleep side by side. */
class Nap {
  /** What was done in calls that must not be repeated. */
  readonly calls: string[] = []
  #mesh: TestMesh | undefined

  get mesh(): TestMesh {
    if (this.#mesh === undefined) throw new Error("Start the mesh first")
    return this.#mesh
  }

  async start(...agents: AgentDefinition[]): Promise<void> {
    this.#mesh = await startMesh({ agents })
  }

  async close(): Promise<void> {
    await this.#mesh?.stop()
  }

  call(name: string) {
    return () => this.calls.push(name)
  }

  /** Sleeps when its order says so, between two journaled calls. */
  readonly plain: Handler = async (event, ctx) => {
    const { n, ms, key } = event.data
    await ctx.run("before", this.call(`before ${n}`))
    if (ms > 0) await ctx.sleep(ms)
    await ctx.run("after", this.call(`after ${n}`))
    ctx.emit(Done({ n, saw: null }, { key }))
  }

  async publish(...drafts: EventDraft[]): Promise<void> {
    for await (const _ of this.mesh.bus.publishMany(drafts, { producer: "cli" }));
  }

  async letters(): Promise<StoredLetter[]> {
    const all: StoredLetter[] = []
    for await (const stored of new DeadLetters(this.mesh.bus).list()) all.push(stored)
    return all
  }

  /** How many records the journals hold. */
  async journaled(step = "*"): Promise<number> {
    const { link, names } = this.mesh.bus
    const { state } = await link.manager.streams.info(names.stepsOf("any"), {
      subjects_filter: `test.step.napper.${step}`,
    })
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0)
  }

  /** How many timers have not fired. */
  async pending(): Promise<number> {
    const { link, names } = this.mesh.bus
    const { state } = await link.manager.streams.info(names.timers, { subjects_filter: "test.timer.>" })
    return Object.keys(state.subjects ?? {}).length
  }

  /** How many wake-ups and answers came by the inbox, and are handled. */
  async resumed(): Promise<number> {
    const inbox = await durableInfo(this.mesh.bus.link, this.mesh.bus.names.events, "napper=inbox")
    return inbox !== undefined && inbox.num_pending + inbox.num_ack_pending === 0 ? inbox.delivered.consumer_seq : -1
  }
}

/** A test with a mesh of its own, which is stopped with it. */
const napping =
  <Args extends unknown[]>(run: (nap: Nap, ...args: Args) => Promise<void>) =>
  async (...args: Args): Promise<void> => {
    const nap = new Nap()
    try {
      await run(nap, ...args)
    } finally {
      await nap.close()
    }
  }

describe.concurrent("a step that sleeps", () => {
  test(
    "holds nothing meanwhile: later events of its key run, and it commits on their state under its own event",
    napping(async (nap) => {
      await nap.start(
        defineAgent("napper", {
          on: [Order],
          emits: [Done],
          state: { initial: [] as number[], evolve: { Seen: (all: number[], n: number) => [...all, n] } },
          async handle(event, ctx) {
            const { n, ms, key } = event.data
            const first = await ctx.run("before", nap.call(`before ${n}`))
            if (ms > 0) await ctx.sleep(ms)
            ctx.record("Seen", n)
            ctx.emit(Done({ n, saw: { first, state: [...ctx.state] } }, { key }))
          },
        }),
      )
      await nap.publish(order(1, 1_000), order(2), order(3))
      expect(numbers(await take(nap.mesh.bus, "nap.done", 2))).toEqual([2, 3])
      await until("all is acked", async () => {
        const info = await durableInfo(nap.mesh.bus.link, nap.mesh.bus.names.events, "napper")
        return info?.num_ack_pending === 0 && info.num_pending === 0
      })
      expect(nap.calls).toEqual(["before 1", "before 2", "before 3"])
      const slept = (await take(nap.mesh.bus, "nap.done", 3))[2]
      expect(slept).toMatchObject({
        causationid: "order-1",
        hops: 1,
        data: { n: 1, saw: { first: 1, state: [2, 3, 1] } },
      })
      expect(nap.calls).toHaveLength(3)
      const { commits, state } = await readSession(nap.mesh.bus, "napper", "a", "end")
      expect(commits.map(({ cause }) => cause.id)).toEqual(["order-2", "order-3", "order-1"])
      expect(state).toEqual([2, 3, 1])
    }),
  )

  test(
    "sleeps several times, also beside a call, and makes no call twice",
    napping(async (nap) => {
      await nap.start(
        napper(async (event, ctx) => {
          const { n, key } = event.data
          const saw: unknown[] = []
          for (let round = 0; round < 3; round++) {
            saw.push(await ctx.run(`round ${round}`, nap.call(`round ${round}`)))
            const beside = ctx.run("beside", async () => {
              await new Promise((resolve) => setTimeout(resolve, 20))
              return nap.call(`beside ${round}`)()
            })
            const [, answer] = await Promise.all([ctx.sleep(100), beside.then((of) => ctx.run("then", () => of * 10))])
            saw.push(answer)
          }
          ctx.emit(Done({ n, saw }, { key }))
        }),
      )
      await nap.publish(order(1))
      const [done] = await take(nap.mesh.bus, "nap.done", 1)
      expect(done?.data).toEqual({ n: 1, saw: [1, 20, 3, 40, 5, 60] })
      expect(nap.calls).toEqual(["round 0", "beside 0", "round 1", "beside 1", "round 2", "beside 2"])
    }),
  )

  test(
    "goes on elsewhere when its node stopped meanwhile, though no event comes",
    napping(async (nap) => {
      const agent = napper(nap.plain)
      await nap.start(agent)
      await nap.publish(order(1, 1_500))
      await until("it sleeps", async () => (await nap.pending()) === 1)
      await nap.mesh.node.stop()
      await until("its time has passed", async () => (await nap.pending()) === 0)
      await nap.mesh.addNode({ agents: [agent] })
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([{ causationid: "order-1" }])
      expect(nap.calls).toEqual(["before 1", "after 1"])
    }),
  )

  test(
    "goes on elsewhere when its node is gone without a word, and the same again",
    napping(async (nap) => {
      const agent = napper(nap.plain)
      await nap.start(agent)
      await nap.mesh.addNode({ agents: [agent] })
      await nap.publish(order(1, 1_500), order(2, 1_500, "b"))
      await until("both sleep", async () => (await nap.pending()) === 2)
      await nap.mesh.node.bus.link.connection.close()
      expect(numbers(await take(nap.mesh.bus, "nap.done", 2)).toSorted()).toEqual([1, 2])
      expect(nap.calls.toSorted()).toEqual(["after 1", "after 2", "before 1", "before 2"])
    }),
  )

  test(
    "may be of an agent with 64 partitions",
    napping(async (nap) => {
      await nap.start(napper(nap.plain, { partitions: 64 }))
      await nap.publish(...Array.from({ length: 40 }, (_, n) => order(n, 500, `k${n}`)))
      expect(new Set(numbers(await take(nap.mesh.bus, "nap.done", 40))).size).toBe(40)
      expect(nap.calls).toHaveLength(80)
    }),
  )

  test(
    "without a key and without state: several timers that are due at once run it once",
    napping(async (nap) => {
      const Loose = defineEvent("nap.loose", z.object({ n: z.number() }))
      await nap.start(
        defineAgent("napper", {
          on: [Loose],
          emits: [Done],
          async handle(event, ctx) {
            await Promise.all([
              ...Array.from({ length: 8 }, () => ctx.sleep(150)),
              ctx.run("slow", async () => {
                await new Promise((resolve) => setTimeout(resolve, 600))
                return nap.call(`slow ${event.data.n}`)()
              }),
            ])
            await ctx.run("last", nap.call(`last ${event.data.n}`))
            ctx.emit(Done({ n: event.data.n, saw: null }))
          },
        }),
      )
      await nap.publish(...[1, 2, 3].map((n) => Loose({ n })))
      expect(numbers(await take(nap.mesh.bus, "nap.done", 3)).toSorted()).toEqual([1, 2, 3])
      expect(nap.calls.toSorted()).toEqual(["last 1", "last 2", "last 3", "slow 1", "slow 2", "slow 3"])
    }),
  )

  test(
    "and its journal outlive the age limit of journals; then one record is left, for a while",
    napping(async (nap) => {
      await nap.start(
        napper(async (event, ctx) => {
          const { n, key } = event.data
          await ctx.run("before", nap.call(`before ${n}`))
          const late = ctx.run("late", () =>
            new Promise((resolve) => setTimeout(resolve, 100)).then(nap.call(`late ${n}`)),
          )
          await Promise.all([ctx.sleep(3_500), ctx.sleep(300), late])
          await ctx.run("after", nap.call(`after ${n}`))
          ctx.emit(Done({ n, saw: null }, { key }))
        }),
      )
      const { manager } = nap.mesh.bus.link
      const second = { max_age: 1e9, duplicate_window: 1e9 }
      await manager.streams.update(nap.mesh.bus.names.stepsOf("any"), second)
      await nap.publish(order(1))
      await until("the short sleep is over", async () => (await nap.resumed()) === 1)
      const full = await nap.journaled("order-1")
      await until("what can age has aged", async () => (await nap.journaled("order-1")) < full)
      await take(nap.mesh.bus, "nap.done", 1)
      expect(nap.calls).toEqual(["before 1", "late 1", "after 1"])
      await until("nothing is left", async () => (await nap.journaled("order-1")) === 0)
    }),
  )

  test(
    "leaves one record when it is done, and does nothing again when its event comes once more",
    napping(async (nap) => {
      await nap.start(napper(nap.plain))
      await nap.publish(order(1, 100))
      await take(nap.mesh.bus, "nap.done", 1)
      await until("its journal is closed", async () => (await nap.journaled("order-1")) === 1)
      // stored a second time, as after the dedup window
      const stored = await nap.mesh.bus.link.manager.streams.getMessage(nap.mesh.bus.names.events, { seq: 1 })
      nap.mesh.bus.link.connection.publish("test.ev.cli.a.nap.order", stored?.data)
      await nap.publish(order(2))
      expect(numbers(await take(nap.mesh.bus, "nap.done", 2))).toEqual([1, 2])
      expect(nap.calls).toEqual(["before 1", "after 1", "before 2", "after 2"])
    }),
  )
})

describe.concurrent("what lets a step go on", () => {
  test(
    "counts only where the step waits for it: forged, early and unknown ones change nothing",
    napping(async (nap) => {
      const runs: number[] = []
      await nap.start(
        napper((event, ctx) => {
          runs.push(event.data.n)
          return nap.plain(event, ctx)
        }),
      )
      await nap.publish(order(1, 2_500))
      await until("it sleeps", async () => (await nap.pending()) === 1)
      const wake = { kind: "wake", step: "order-1", position: 1 }
      const forged = [
        wake,
        { ...wake, position: 0 },
        { ...wake, position: 9 },
        { ...wake, step: "order-7" },
        { kind: "answer", step: "order-1", position: 1, question: "?", answer: "go on" },
      ]
      for (const [n, data] of forged.entries()) {
        const producer = n === 4 ? "cli" : "murmur"
        await nap.mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer })
      }
      await until("they are handled", async () => (await nap.resumed()) === 5)
      expect([runs, nap.calls, await nap.pending()]).toEqual([[1], ["before 1"], 1])
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([{ causationid: "order-1" }])
      expect(runs).toEqual([1, 1])
      expect(await nap.letters()).toEqual([])
    }),
  )

  test(
    "and who may not say so ends in the dead letters",
    napping(async (nap) => {
      await nap.start(napper(nap.plain))
      await nap.publish(order(1, 1_500))
      await until("it sleeps", async () => (await nap.pending()) === 1)
      const data = { kind: "wake", step: "order-1", position: 1 }
      await nap.mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer: "cli" })
      await nap.mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer: "other" })
      await until("both are laid aside", async () => (await nap.letters()).length === 2)
      for (const { letter } of await nap.letters()) {
        expect(letter).toMatchObject({
          reason: "malformed",
          error: { message: expect.stringContaining("may not say") },
        })
      }
      expect(nap.calls).toEqual(["before 1"])
      await take(nap.mesh.bus, "nap.done", 1)
    }),
  )
})

describe.concurrent("a step that fails after it slept", () => {
  test(
    "is tried again without sleeping again",
    napping(async (nap) => {
      let failures = 2
      const attempts: number[] = []
      await nap.start(
        napper(async (event, ctx) => {
          await ctx.sleep(300)
          attempts.push(ctx.attempt)
          await ctx.run("after", nap.call("after"))
          if (failures-- > 0) throw new Error("not yet")
          ctx.emit(Done({ n: event.data.n, saw: ctx.previousAttempt?.error?.message }, { key: "a" }))
        }),
      )
      await nap.publish(order(1))
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([{ data: { saw: "not yet" } }])
      expect([attempts, nap.calls]).toEqual([[1, 2, 3], ["after"]])
      await until("its one wake-up is handled", async () => (await nap.resumed()) === 1)
    }),
  )

  test(
    "and is given up can be sent back: it goes on behind its sleep, and repeats no call",
    napping(async (nap) => {
      let broken = true
      await nap.start(
        napper(async (event, ctx) => {
          await ctx.run("before", nap.call("before"))
          await ctx.sleep(100)
          await ctx.run("after", nap.call("after"))
          if (broken) throw new Error("broken")
          ctx.emit(Done({ n: event.data.n, saw: ctx.attempt }, { key: "a" }))
        }),
      )
      await nap.publish(order(1))
      await until("it is laid aside", async () => (await nap.letters()).length === 1)
      const [stored] = await nap.letters()
      expect(stored?.letter).toMatchObject({
        reason: "failed",
        event: { id: "order-1", data: { n: 1 } },
        calls: ["run before", "sleep", "run after"].map((name) => ({ call: name, answered: true })),
      })
      expect(stored?.letter.attempts).toHaveLength(3)
      broken = false
      await new DeadLetterRetry(nap.mesh.bus).retry(stored as StoredLetter, 5_000)
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([
        { causationid: "order-1", data: { n: 1, saw: 1 } },
      ])
      expect(nap.calls).toEqual(["before", "after"])
      await until("its journal is closed", async () => (await nap.journaled("order-1")) === 1)
    }),
  )

  test(
    "and is given up stays so when another wait of it is over",
    napping(async (nap) => {
      const runs: number[] = []
      await nap.start(
        napper(async (_, ctx) => {
          runs.push(ctx.attempt)
          const fail = ctx.sleep(50).then(() => Promise.reject(new Error("no")))
          await Promise.all([fail, ctx.sleep(1_200)])
        }),
      )
      await nap.publish(order(1))
      await until("it is laid aside", async () => (await nap.letters()).length === 1)
      await until("the other wait is over", async () => (await nap.resumed()) === 2)
      expect(runs).toEqual([1, 1, 2, 3])
      expect(await nap.letters()).toHaveLength(1)
    }),
  )
})

describe.concurrent("code that changes while a step sleeps", () => {
  test(
    "takes the step over where it stands",
    napping(async (nap) => {
      await nap.start(napper(nap.plain))
      await nap.publish(order(1, 1_500))
      await until("it sleeps", async () => (await nap.pending()) === 1)
      const changed: Handler = async (event, ctx) => {
        const answer = await ctx.run("before", nap.call("never"))
        await ctx.sleep(5)
        ctx.emit(Done({ n: event.data.n, saw: { changed: answer } }, { key: "a" }))
      }
      const sameSleep: Handler = async (event, ctx) => {
        const answer = await ctx.run("before", nap.call("never"))
        await ctx.sleep(event.data.ms)
        ctx.emit(Done({ n: event.data.n, saw: { changed: answer } }, { key: "a" }))
      }
      expect(String(changed)).not.toBe(String(sameSleep))
      await nap.mesh.node.replace({ agents: [napper(sameSleep)], sources: [] })
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([{ data: { n: 1, saw: { changed: 1 } } }])
      expect(nap.calls).toEqual(["before 1"])
    }),
  )

  test.each([
    [
      "another call in place of the sleep",
      '"sleep" and is now "run other"',
      (ctx, nap) => ctx.run("other", nap.call("other")),
    ],
    ["a sleep of another length", '"sleep" and is now "sleep" with other input', (ctx) => ctx.sleep(5)],
  ] satisfies [string, string, (ctx: Parameters<Handler>[1], nap: Nap) => Promise<unknown>][])(
    "is an error that names both when it has %s",
    napping(async (nap, _, message, instead) => {
      await nap.start(napper(nap.plain))
      await nap.publish(order(1, 1_500))
      await until("it sleeps", async () => (await nap.pending()) === 1)
      const changed: Handler = async (_, ctx) => {
        await ctx.run("before", nap.call("never"))
        await instead(ctx, nap)
      }
      await nap.mesh.node.replace({ agents: [napper(changed)], sources: [] })
      await until("it is laid aside", async () => (await nap.letters()).length === 1)
      expect((await nap.letters())[0]?.letter).toMatchObject({
        reason: "terminal",
        error: { code: "NONDETERMINISM", message: expect.stringContaining(message) },
      })
      expect(nap.calls).toEqual(["before 1"])
    }),
  )
})

// many of them, and one against the clock: with nothing beside them
describe("a step that sleeps, alone,", () => {
  test(
    "may be one of a thousand",
    napping(async (nap) => {
      await nap.start(napper(nap.plain))
      const all = Array.from({ length: 1_000 }, (_, n) => order(n, 1_500, `k${n % 100}`))
      await nap.publish(...all)
      const done = await take(nap.mesh.bus, "nap.done", 1_000, 40_000)
      expect(new Set(done.map(({ causationid }) => causationid)).size).toBe(1_000)
      expect(new Set(nap.calls).size).toBe(nap.calls.length)
      expect(nap.calls).toHaveLength(2_000)
    }),
    60_000,
  )

  test(
    "is not timed meanwhile, but each of its runs is",
    napping(async (nap) => {
      const handle: Handler = async (event, ctx) => {
        if (event.data.ms > 0) await ctx.sleep(event.data.ms)
        else await ctx.run("long", () => new Promise((resolve) => setTimeout(resolve, 2_000)))
        ctx.emit(Done({ n: event.data.n, saw: ctx.attempt }, { key: "a" }))
      }
      await nap.start(napper(handle, { stepTimeoutMs: 250, retry: { attempts: 1 } }))
      await nap.publish(order(1, 800), order(2))
      expect(await take(nap.mesh.bus, "nap.done", 1)).toMatchObject([{ data: { n: 1, saw: 1 } }])
      await until("the other is laid aside", async () => (await nap.letters()).length === 1)
      expect((await nap.letters())[0]?.letter).toMatchObject({
        error: { code: "STEP_TIMEOUT" },
        event: { id: "order-2" },
      })
    }),
  )
})
