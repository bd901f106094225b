import fc from "fast-check"
import { expect, test } from "vitest"
import { Ledger } from "./ledger.js"

const at = (seq: number, ms = seq) => ({ seq, time: new Date(ms) })

test("a message is news once, unfinished until it is done, and done from then on", () => {
  const ledger = new Ledger<string>()
  ledger.begin(0)
  expect(ledger.isDone(at(1))).toBe(false)
  ledger.add(at(1), "one")
  expect([ledger.get(1), ledger.size, [...ledger.items()]]).toEqual(["one", 1, ["one"]])
  expect(ledger.isDone(at(1))).toBe(false)
  ledger.done(1)
  expect([ledger.get(1), ledger.size, ledger.isDone(at(1))]).toEqual([undefined, 0, true])
})

test("what another node has done meanwhile is below the floor, and counts as done", () => {
  const ledger = new Ledger<string>()
  ledger.begin(0)
  ledger.add(at(5), "running")
  ledger.add(at(6), "waiting")
  ledger.forget(6)
  expect(ledger.isDone(at(6))).toBe(false)
  ledger.begin(8)
  expect(ledger.isDone(at(6))).toBe(true)
  expect(ledger.get(5)).toBe("running")
  expect(ledger.isDone(at(9))).toBe(false)
})

test("what was given back stays news while an older one of another key still runs", () => {
  const ledger = new Ledger<string>()
  ledger.begin(0)
  ledger.add(at(6), "waiting")
  ledger.add(at(7), "running")
  ledger.forget(6)
  ledger.begin(5)
  ledger.add(at(6), "again")
  ledger.add(at(8), "next")
  ledger.done(8)
  ledger.forget(6)
  ledger.begin(5)
  expect(ledger.isDone(at(6))).toBe(false)
})

test("a stream that lost its end gives known sequences to new messages: they are news", () => {
  const ledger = new Ledger<string>()
  ledger.begin(0)
  for (let seq = 1; seq <= 10; seq++) ledger.add(at(seq), "x")
  for (let seq = 1; seq <= 10; seq++) ledger.done(seq)
  ledger.begin(4)
  expect(ledger.isDone(at(5))).toBe(true)
  expect(ledger.isDone(at(6, 1_000))).toBe(false)
  ledger.add(at(6, 1_000), "new")
  ledger.done(6)
  expect(ledger.isDone(at(7, 1_001))).toBe(false)
  expect(ledger.isDone(at(6, 1_000))).toBe(true)
})

/** The server and the other nodes, kept in the simplest way: one flag a message. */
class World {
  /** As the server knows it. */
  readonly acked = new Set<number>()
  readonly doneElsewhere = new Set<number>()
  readonly runs = new Map<number, number>()
  readonly finishedHere = new Set<number>()
  readonly running = new Set<number>()
  readonly waiting = new Set<number>()
  readonly ledger = new Ledger<number>()
  owned = false
  next = 1

  constructor(
    readonly count: number,
    readonly needless: ReadonlySet<number>,
  ) {}

  get floor(): number {
    let floor = 0
    while (this.acked.has(floor + 1)) floor += 1
    return floor
  }

  own(): void {
    if (this.owned) this.lose()
    this.owned = true
    this.ledger.begin(this.floor)
    this.next = this.floor + 1
  }

  lose(): void {
    this.owned = false
    for (const seq of this.waiting) this.ledger.forget(seq)
    this.waiting.clear()
  }

  /** The next message comes; some of those that were acked above the floor come too, as after a reset. */
  deliver(): void {
    if (!this.owned || this.next > this.count) return
    const seq = this.next++
    const known = this.ledger.get(seq)
    const done = known === undefined && this.ledger.isDone(at(seq))
    expect(known !== undefined, `known ${seq}`).toBe(this.running.has(seq) || this.waiting.has(seq))
    if (known !== undefined) return
    if (this.finishedHere.has(seq)) expect(done, `${seq} was finished here`).toBe(true)
    if (done) {
      const rightly = this.finishedHere.has(seq) || this.doneElsewhere.has(seq) || this.needless.has(seq)
      expect(rightly, `${seq} is called done`).toBe(true)
      this.acked.add(seq)
    } else if (this.needless.has(seq)) {
      this.ledger.skip(at(seq))
      this.acked.add(seq)
    } else {
      this.ledger.add(at(seq), seq)
      this.waiting.add(seq)
    }
  }

  begin(pick: number): void {
    const seq = [...this.waiting][pick % Math.max(1, this.waiting.size)]
    if (seq === undefined) return
    this.waiting.delete(seq)
    this.running.add(seq)
    this.runs.set(seq, (this.runs.get(seq) ?? 0) + 1)
  }

  finish(pick: number, ackArrives: boolean): void {
    const seq = [...this.running][pick % Math.max(1, this.running.size)]
    if (seq === undefined) return
    this.running.delete(seq)
    this.finishedHere.add(seq)
    this.ledger.done(seq)
    if (ackArrives) this.acked.add(seq)
  }

  /** Another node owns it and finishes the next few. */
  elsewhere(count: number): void {
    if (this.owned) this.lose()
    for (let i = 0, seq = this.floor + 1; i < count && seq <= this.count; seq++, i++) {
      this.acked.add(seq)
      this.doneElsewhere.add(seq)
    }
  }

  /** A crash of the server: the newest acks are forgotten. */
  forgetAcks(count: number): void {
    if (this.owned) this.lose()
    for (const seq of [...this.acked].slice(-count)) this.acked.delete(seq)
  }
}

test("whatever is lost, taken over and delivered again: done is only what was done, and nothing done here runs again", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.constant((world: World) => world.deliver()) },
    { weight: 5, arbitrary: fc.nat(9).map((pick) => (world: World) => world.begin(pick)) },
    {
      weight: 5,
      arbitrary: fc.tuple(fc.nat(9), fc.boolean()).map(
        ([pick, ack]) =>
          (world: World) =>
            world.finish(pick, ack),
      ),
    },
    { weight: 2, arbitrary: fc.constant((world: World) => world.own()) },
    { weight: 1, arbitrary: fc.constant((world: World) => world.lose()) },
    { weight: 1, arbitrary: fc.nat(6).map((count) => (world: World) => world.elsewhere(count)) },
    { weight: 1, arbitrary: fc.nat(4).map((count) => (world: World) => world.forgetAcks(count)) },
  )
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 20 })),
      (steps, needless) => {
        const world = new World(20, new Set(needless))
        world.own()
        for (const run of steps) run(world)
        // at last everything is delivered and finished, and nothing is left over
        world.own()
        while (world.next <= world.count) world.deliver()
        while (world.waiting.size > 0) world.begin(0)
        while (world.running.size > 0) world.finish(0, true)
        for (let seq = 1; seq <= world.count; seq++) {
          const done = world.finishedHere.has(seq) || world.doneElsewhere.has(seq) || world.needless.has(seq)
          expect(done, `${seq} is done in the end`).toBe(true)
        }
        for (const [seq, runs] of world.runs) expect(runs, `runs of ${seq}`).toBe(1)
        expect(world.ledger.size).toBe(0)
      },
    ),
    { numRuns: 3_000 },
  )
})
