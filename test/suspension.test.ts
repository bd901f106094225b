import { afterEach, describe, expect, test } from "vitest"
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

let mesh: TestMesh
afterEach(() => mesh?.stop())

/** What was done in calls that must not be repeated. */
let calls: string[] = []
const call = (name: string) => () => calls.push(name)
const order = (n: number, ms = 0, key = "a"): EventDraft => Order({ n, key, ms }, { id: `order-${n}` })
const publish = async (...drafts: EventDraft[]): Promise<void> => {
  for await (const _ of mesh.bus.publishMany(drafts, { producer: "cli" }));
}

type Handler = HandlerOptions<[typeof Order]>["handle"]

const napper = (handle: Handler, more: Partial<HandlerOptions<[typeof Order]>> = {}): AgentDefinition =>
  defineAgent("napper", { on: [Order], emits: [Done], retry: { attempts: 3, backoffMs: 1 }, handle, ...more } as never)

/** Sleeps when its order says so, between two journaled calls. */
const plain: Handler = async (event, ctx) => {
  const { n, ms, key } = event.data
  await ctx.run("before", call(`before ${n}`))
  if (ms > 0) await ctx.sleep(ms)
  await ctx.run("after", call(`after ${n}`))
  ctx.emit(Done({ n, saw: null }, { key }))
}

const start = async (...agents: AgentDefinition[]): Promise<void> => {
  calls = []
  mesh = await startMesh({ agents })
}

const numbers = (events: readonly MurmurEvent[]) => events.map(({ data }) => (data as { n: number }).n)

async function letters(): Promise<StoredLetter[]> {
  const all: StoredLetter[] = []
  for await (const stored of new DeadLetters(mesh.bus).list()) all.push(stored)
  return all
}

/** How many records the journals hold. */
async function journaled(step = "*"): Promise<number> {
  const { link, names } = mesh.bus
  const { state } = await link.manager.streams.info(names.steps, { subjects_filter: `test.step.napper.${step}` })
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0)
}

/** How many timers have not fired. */
async function pending(): Promise<number> {
  const { link, names } = mesh.bus
  const { state } = await link.manager.streams.info(names.timers, { subjects_filter: "test.timer.>" })
  return Object.keys(state.subjects ?? {}).length
}

/** How many wake-ups and answers came by the inbox, and are handled. */
async function resumed(): Promise<number> {
  const inbox = await durableInfo(mesh.bus.link, mesh.bus.names.events, "napper=inbox")
  return inbox !== undefined && inbox.num_pending + inbox.num_ack_pending === 0 ? inbox.delivered.consumer_seq : -1
}

describe("a step that sleeps", () => {
  test("holds nothing meanwhile: later events of its key run, and it commits on their state under its own event", async () => {
    await start(
      defineAgent("napper", {
        on: [Order],
        emits: [Done],
        state: { initial: [] as number[], evolve: { Seen: (all: number[], n: number) => [...all, n] } },
        async handle(event, ctx) {
          const { n, ms, key } = event.data
          const first = await ctx.run("before", call(`before ${n}`))
          if (ms > 0) await ctx.sleep(ms)
          ctx.record("Seen", n)
          ctx.emit(Done({ n, saw: { first, state: [...ctx.state] } }, { key }))
        },
      }),
    )
    await publish(order(1, 1_000), order(2), order(3))
    expect(numbers(await take(mesh.bus, "nap.done", 2))).toEqual([2, 3])
    await until("all is acked", async () => {
      const info = await durableInfo(mesh.bus.link, mesh.bus.names.events, "napper")
      return info?.num_ack_pending === 0 && info.num_pending === 0
    })
    expect(calls).toEqual(["before 1", "before 2", "before 3"])
    const slept = (await take(mesh.bus, "nap.done", 3))[2]
    expect(slept).toMatchObject({
      causationid: "order-1",
      hops: 1,
      data: { n: 1, saw: { first: 1, state: [2, 3, 1] } },
    })
    expect(calls).toHaveLength(3)
    const { commits, state } = await readSession(mesh.bus, "napper", "a", "end")
    expect(commits.map(({ cause }) => cause.id)).toEqual(["order-2", "order-3", "order-1"])
    expect(state).toEqual([2, 3, 1])
  })

  test("sleeps several times, also beside a call, and makes no call twice", async () => {
    await start(
      napper(async (event, ctx) => {
        const { n, key } = event.data
        const saw: unknown[] = []
        for (let round = 0; round < 3; round++) {
          saw.push(await ctx.run(`round ${round}`, call(`round ${round}`)))
          const beside = ctx.run("beside", async () => {
            await new Promise((resolve) => setTimeout(resolve, 20))
            return call(`beside ${round}`)()
          })
          const [, answer] = await Promise.all([ctx.sleep(100), beside.then((of) => ctx.run("then", () => of * 10))])
          saw.push(answer)
        }
        ctx.emit(Done({ n, saw }, { key }))
      }),
    )
    await publish(order(1))
    const [done] = await take(mesh.bus, "nap.done", 1)
    expect(done?.data).toEqual({ n: 1, saw: [1, 20, 3, 40, 5, 60] })
    expect(calls).toEqual(["round 0", "beside 0", "round 1", "beside 1", "round 2", "beside 2"])
  })

  test("goes on elsewhere when its node stopped meanwhile, though no event comes", async () => {
    const agent = napper(plain)
    await start(agent)
    await publish(order(1, 300))
    await until("it sleeps", async () => (await pending()) === 1)
    await mesh.node.stop()
    await until("its time has passed", async () => (await pending()) === 0)
    await mesh.addNode({ agents: [agent] })
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ causationid: "order-1" }])
    expect(calls).toEqual(["before 1", "after 1"])
  })

  test("goes on elsewhere when its node is gone without a word, and the same again", async () => {
    const agent = napper(plain)
    await start(agent)
    await mesh.addNode({ agents: [agent] })
    await publish(order(1, 500), order(2, 500, "b"))
    await until("both sleep", async () => (await pending()) === 2)
    await mesh.node.bus.link.connection.close()
    expect(numbers(await take(mesh.bus, "nap.done", 2)).toSorted()).toEqual([1, 2])
    expect(calls.toSorted()).toEqual(["after 1", "after 2", "before 1", "before 2"])
  })

  test("may be one of a thousand", async () => {
    await start(napper(plain))
    const all = Array.from({ length: 1_000 }, (_, n) => order(n, 1_500, `k${n % 100}`))
    await publish(...all)
    const done = await take(mesh.bus, "nap.done", 1_000, 40_000)
    expect(new Set(done.map(({ causationid }) => causationid)).size).toBe(1_000)
    expect(new Set(calls).size).toBe(calls.length)
    expect(calls).toHaveLength(2_000)
  }, 60_000)

  test("may be of an agent with 64 partitions", async () => {
    await start(napper(plain, { partitions: 64 }))
    await publish(...Array.from({ length: 40 }, (_, n) => order(n, 500, `k${n}`)))
    expect(new Set(numbers(await take(mesh.bus, "nap.done", 40))).size).toBe(40)
    expect(calls).toHaveLength(80)
  })

  test("without a key and without state: several timers that are due at once run it once", async () => {
    const Loose = defineEvent("nap.loose", z.object({ n: z.number() }))
    await start(
      defineAgent("napper", {
        on: [Loose],
        emits: [Done],
        async handle(event, ctx) {
          await Promise.all([
            ...Array.from({ length: 8 }, () => ctx.sleep(150)),
            ctx.run("slow", async () => {
              await new Promise((resolve) => setTimeout(resolve, 600))
              return call(`slow ${event.data.n}`)()
            }),
          ])
          await ctx.run("last", call(`last ${event.data.n}`))
          ctx.emit(Done({ n: event.data.n, saw: null }))
        },
      }),
    )
    await publish(...[1, 2, 3].map((n) => Loose({ n })))
    expect(numbers(await take(mesh.bus, "nap.done", 3)).toSorted()).toEqual([1, 2, 3])
    expect(calls.toSorted()).toEqual(["last 1", "last 2", "last 3", "slow 1", "slow 2", "slow 3"])
  })

  test("is not timed meanwhile, but each of its runs is", async () => {
    const handle: Handler = async (event, ctx) => {
      if (event.data.ms > 0) await ctx.sleep(event.data.ms)
      else await ctx.run("long", () => new Promise((resolve) => setTimeout(resolve, 2_000)))
      ctx.emit(Done({ n: event.data.n, saw: ctx.attempt }, { key: "a" }))
    }
    await start(napper(handle, { stepTimeoutMs: 250, retry: { attempts: 1 } }))
    await publish(order(1, 800), order(2))
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ data: { n: 1, saw: 1 } }])
    await until("the other is laid aside", async () => (await letters()).length === 1)
    expect((await letters())[0]?.letter).toMatchObject({ error: { code: "STEP_TIMEOUT" }, event: { id: "order-2" } })
  })

  test("and its journal outlive the age limit of journals; then one record is left, for a while", async () => {
    await start(
      napper(async (event, ctx) => {
        const { n, key } = event.data
        await ctx.run("before", call(`before ${n}`))
        const late = ctx.run("late", () => new Promise((resolve) => setTimeout(resolve, 100)).then(call(`late ${n}`)))
        await Promise.all([ctx.sleep(3_500), ctx.sleep(300), late])
        await ctx.run("after", call(`after ${n}`))
        ctx.emit(Done({ n, saw: null }, { key }))
      }),
    )
    const { manager } = mesh.bus.link
    const second = { max_age: 1e9, duplicate_window: 1e9 }
    await manager.streams.update(mesh.bus.names.steps, second)
    await publish(order(1))
    await until("the short sleep is over", async () => (await resumed()) === 1)
    const full = await journaled("order-1")
    await until("what can age has aged", async () => (await journaled("order-1")) < full)
    await take(mesh.bus, "nap.done", 1)
    expect(calls).toEqual(["before 1", "late 1", "after 1"])
    await until("nothing is left", async () => (await journaled("order-1")) === 0)
  })

  test("leaves one record when it is done, and does nothing again when its event comes once more", async () => {
    await start(napper(plain))
    await publish(order(1, 100))
    await take(mesh.bus, "nap.done", 1)
    await until("its journal is closed", async () => (await journaled("order-1")) === 1)
    // stored a second time, as after the dedup window
    const stored = await mesh.bus.link.manager.streams.getMessage(mesh.bus.names.events, { seq: 1 })
    mesh.bus.link.connection.publish("test.ev.cli.a.nap.order", stored?.data)
    await publish(order(2))
    expect(numbers(await take(mesh.bus, "nap.done", 2))).toEqual([1, 2])
    expect(calls).toEqual(["before 1", "after 1", "before 2", "after 2"])
  })
})

describe("what lets a step go on", () => {
  test("counts only where the step waits for it: forged, early and unknown ones change nothing", async () => {
    const runs: number[] = []
    await start(
      napper((event, ctx) => {
        runs.push(event.data.n)
        return plain(event, ctx)
      }),
    )
    await publish(order(1, 2_500))
    await until("it sleeps", async () => (await pending()) === 1)
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
      await mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer })
    }
    await until("they are handled", async () => (await resumed()) === 5)
    expect([runs, calls, await pending()]).toEqual([[1], ["before 1"], 1])
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ causationid: "order-1" }])
    expect(runs).toEqual([1, 1])
    expect(await letters()).toEqual([])
  })

  test("and who may not say so ends in the dead letters", async () => {
    await start(napper(plain))
    await publish(order(1, 1_000))
    await until("it sleeps", async () => (await pending()) === 1)
    const data = { kind: "wake", step: "order-1", position: 1 }
    await mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer: "cli" })
    await mesh.bus.publish({ type: "murmur.inbox.napper", key: "a", data }, { producer: "other" })
    await until("both are laid aside", async () => (await letters()).length === 2)
    for (const { letter } of await letters()) {
      expect(letter).toMatchObject({ reason: "malformed", error: { message: expect.stringContaining("may not say") } })
    }
    expect(calls).toEqual(["before 1"])
    await take(mesh.bus, "nap.done", 1)
  })
})

describe("a step that fails after it slept", () => {
  test("is tried again without sleeping again", async () => {
    let failures = 2
    const attempts: number[] = []
    await start(
      napper(async (event, ctx) => {
        await ctx.sleep(300)
        attempts.push(ctx.attempt)
        await ctx.run("after", call("after"))
        if (failures-- > 0) throw new Error("not yet")
        ctx.emit(Done({ n: event.data.n, saw: ctx.previousAttempt?.error?.message }, { key: "a" }))
      }),
    )
    await publish(order(1))
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ data: { saw: "not yet" } }])
    expect([attempts, calls]).toEqual([[1, 2, 3], ["after"]])
    await until("its one wake-up is handled", async () => (await resumed()) === 1)
  })

  test("and is given up can be sent back: it goes on behind its sleep, and repeats no call", async () => {
    let broken = true
    await start(
      napper(async (event, ctx) => {
        await ctx.run("before", call("before"))
        await ctx.sleep(100)
        await ctx.run("after", call("after"))
        if (broken) throw new Error("broken")
        ctx.emit(Done({ n: event.data.n, saw: ctx.attempt }, { key: "a" }))
      }),
    )
    await publish(order(1))
    await until("it is laid aside", async () => (await letters()).length === 1)
    const [stored] = await letters()
    expect(stored?.letter).toMatchObject({
      reason: "failed",
      event: { id: "order-1", data: { n: 1 } },
      calls: ["run before", "sleep", "run after"].map((name) => ({ call: name, answered: true })),
    })
    expect(stored?.letter.attempts).toHaveLength(3)
    broken = false
    await new DeadLetterRetry(mesh.bus).retry(stored as StoredLetter, 5_000)
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ causationid: "order-1", data: { n: 1, saw: 1 } }])
    expect(calls).toEqual(["before", "after"])
    await until("its journal is closed", async () => (await journaled("order-1")) === 1)
  })

  test("and is given up stays so when another wait of it is over", async () => {
    const runs: number[] = []
    await start(
      napper(async (_, ctx) => {
        runs.push(ctx.attempt)
        const fail = ctx.sleep(50).then(() => Promise.reject(new Error("no")))
        await Promise.all([fail, ctx.sleep(1_200)])
      }),
    )
    await publish(order(1))
    await until("it is laid aside", async () => (await letters()).length === 1)
    await until("the other wait is over", async () => (await resumed()) === 2)
    expect(runs).toEqual([1, 1, 2, 3])
    expect(await letters()).toHaveLength(1)
  })
})

describe("code that changes while a step sleeps", () => {
  test("takes the step over where it stands", async () => {
    await start(napper(plain))
    await publish(order(1, 700))
    await until("it sleeps", async () => (await pending()) === 1)
    const changed: Handler = async (event, ctx) => {
      const answer = await ctx.run("before", call("never"))
      await ctx.sleep(5)
      ctx.emit(Done({ n: event.data.n, saw: { changed: answer } }, { key: "a" }))
    }
    const sameSleep: Handler = async (event, ctx) => {
      const answer = await ctx.run("before", call("never"))
      await ctx.sleep(event.data.ms)
      ctx.emit(Done({ n: event.data.n, saw: { changed: answer } }, { key: "a" }))
    }
    expect(String(changed)).not.toBe(String(sameSleep))
    await mesh.node.replace({ agents: [napper(sameSleep)], sources: [] })
    expect(await take(mesh.bus, "nap.done", 1)).toMatchObject([{ data: { n: 1, saw: { changed: 1 } } }])
    expect(calls).toEqual(["before 1"])
  })

  test.each([
    ["another call in place of the sleep", '"sleep" and is now "run other"', (ctx) => ctx.run("other", call("other"))],
    ["a sleep of another length", '"sleep" and is now "sleep" with other input', (ctx) => ctx.sleep(5)],
  ] satisfies [string, string, (ctx: Parameters<Handler>[1]) => Promise<unknown>][])(
    "is an error that names both when it has %s",
    async (_, message, instead) => {
      await start(napper(plain))
      await publish(order(1, 400))
      await until("it sleeps", async () => (await pending()) === 1)
      const changed: Handler = async (_, ctx) => {
        await ctx.run("before", call("never"))
        await instead(ctx)
      }
      await mesh.node.replace({ agents: [napper(changed)], sources: [] })
      await until("it is laid aside", async () => (await letters()).length === 1)
      expect((await letters())[0]?.letter).toMatchObject({
        reason: "terminal",
        error: { code: "NONDETERMINISM", message: expect.stringContaining(message) },
      })
      expect(calls).toEqual(["before 1"])
    },
  )
})
