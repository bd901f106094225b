import { expect, test } from "vitest"
import type { MurmurEvent } from "../bus/event.js"
import { systemClock } from "./clock.js"
import { Effects } from "./effects.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import { Journal } from "./journal/journal.js"
import { journalSubject } from "./journal/records.js"
import type { Question, Timer } from "./suspension.js"
import { MemoryLog } from "./test-memory.js"

const EVENT = { id: "order-1", key: "ada", seq: 1, correlationid: "order-1" } as MurmurEvent

/** The effects of one run after the other of one step. */
class Bench {
  readonly log = new MemoryLog()
  readonly timers: Timer[] = []
  readonly questions: Question[] = []
  readonly #suspended = new Set<object>()

  /** How many runs were suspended: told once or more often. */
  get suspensions(): number {
    return this.#suspended.size
  }

  open = () => Journal.open({ log: this.log, clock: systemClock }, journalSubject("test", "shop", "order-1"), "shop")

  run(openJournal: () => Promise<Journal> = this.open): Effects {
    const run = {}
    const onSuspended = () => void this.#suspended.add(run)
    const scope = { agent: "shop", event: EVENT, storedAtMs: 0, careful: false, onSuspended }
    const suspension = {
      openInbox: async () => {},
      setTimer: async (timer: Timer) => void this.timers.push(timer),
      clearTimer: async () => {},
      ask: async (question: Question) => void this.questions.push(question),
      answered: async () => {},
    }
    const original = async (event: MurmurEvent) => event
    return new Effects(
      { ...scope, openJournal, state: undefined, session: undefined },
      { clock: systemClock, suspension, original },
    )
  }

  /** What these positions wait for has come. */
  async come(...positions: number[]): Promise<void> {
    const journal = await this.open()
    for (const position of positions) await journal.resolve(position, "yes", 1)
  }
}

const turns = async (count = 5): Promise<void> => {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setTimeout(resolve, 2))
}

test("a run is suspended when all that it does is wait, and not while a call runs beside it", async () => {
  const bench = new Bench()
  const effects = bench.run()
  let finish = (_: number): void => {}
  const call = effects.run("slow", () => new Promise<number>((resolve) => (finish = resolve)))
  void effects.sleep(60_000)
  await turns()
  expect(bench.suspensions).toBe(0)
  const then = call.then(() => effects.run("next", () => 2))
  finish(1)
  await then
  await expect.poll(() => bench.suspensions).toBe(1)
  expect(bench.timers).toMatchObject([{ agent: "shop", key: "ada", step: "order-1", position: 1 }])
})

test("a run that a guard stops is void, whatever its handler makes of that", async () => {
  const effects = new Bench().run()
  const trip = { guard: "events", root: "r", limit: 1, used: 2, agent: "shop", path: [] }
  const tripped = new GuardTripped("order-1", trip)
  const call = { position: 0, call: "delegate", input: null }
  const waiting = effects.wait(
    call,
    () => ({ kind: "sleep", until: "2030-01-01T00:00:00Z" }),
    () => Promise.reject(tripped),
  )
  await waiting.catch(() => {})
  expect(effects.void).toBe(tripped)
})

test("of several waits one that is over holds the run up for nothing", async () => {
  const bench = new Bench()
  const waits = (effects: Effects) => [1, 2, 3].map((n) => effects.sleep(n * 60_000))
  void waits(bench.run())
  await expect.poll(() => bench.suspensions).toBe(1)
  await bench.come(2)
  const journal = await bench.open()
  journal.goOn(2)
  const [first, second, third] = waits(bench.run(async () => journal))
  expect(await third).toBeUndefined()
  await expect.poll(() => bench.suspensions).toBe(2)
  await expect(Promise.race([first, second, turns(1).then(() => "still waits")])).resolves.toBe("still waits")
  expect(bench.timers).toHaveLength(3) // those of the first run
})

test("who learns late what a handler does holds the run until it knows", async () => {
  const bench = new Bench()
  const effects = bench.run()
  const letGo = effects.hold()
  void effects.sleep(60_000)
  await turns()
  expect(bench.suspensions).toBe(0)
  letGo()
  await expect.poll(() => bench.suspensions).toBe(1)
})

test("a question is asked under the same id each time that the step comes to it, until it is answered", async () => {
  const bench = new Bench()
  const options = { choices: ["yes", "no"], default: "no" }
  void bench.run().ask("Go?", options)
  await expect.poll(() => bench.suspensions).toBe(1)
  void bench.run().ask("Go?", options)
  await expect.poll(() => bench.suspensions).toBe(2)
  const [first, second] = bench.questions
  expect(first).toMatchObject({ agent: "shop", key: "ada", step: "order-1", position: 0, question: "Go?", ...options })
  expect([second?.id, second?.until]).toEqual([first?.id, first?.until])
  await bench.come(0)
  expect(await bench.run().ask("Go?", options)).toBe("yes")
  await expect(bench.run().ask("Really?", options)).rejects.toMatchObject({ code: "NONDETERMINISM" })
})

test("a step that waited and is done does nothing when its event comes once more", async () => {
  const bench = new Bench()
  void bench.run().sleep(60_000)
  await expect.poll(() => bench.suspensions).toBe(1)
  await (await bench.open()).close()
  let made = 0
  const again = bench.run()
  void again.run("charge", () => ++made)
  void again.sleep(60_000)
  await expect.poll(() => bench.suspensions).toBe(2)
  await turns()
  expect([made, bench.timers.length]).toEqual([0, 1])
})
