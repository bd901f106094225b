import fc from "fast-check"
import { expect, test } from "vitest"
import { Mailbox } from "./mailbox.js"

interface Job {
  readonly key: string | undefined
  readonly n: number
}

/** A mailbox whose items end when the test says so. */
class Bench {
  readonly started: Job[] = []
  readonly ends = new Map<Job, () => void>()
  readonly mailbox: Mailbox<Job>

  constructor(concurrency: number, during?: (job: Job, mailbox: Mailbox<Job>) => Promise<void>) {
    this.mailbox = new Mailbox<Job>(concurrency, async (job) => {
      this.started.push(job)
      await during?.(job, this.mailbox)
      await new Promise<void>((end) => this.ends.set(job, end))
      this.ends.delete(job)
    })
  }

  push(...jobs: Job[]): void {
    for (const job of jobs) this.mailbox.push(job)
  }

  async end(job: Job | undefined): Promise<void> {
    await settled()
    if (job !== undefined) this.ends.get(job)?.()
    await settled()
  }

  get names(): string[] {
    return this.started.map(({ key, n }) => `${key ?? "-"}${n}`)
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const jobs = (...names: string[]): Job[] =>
  names.map((name) => ({ key: name[0] === "-" ? undefined : name[0], n: Number(name.slice(1)) }))

test("items of one key run one after the other, and at most so many keys at a time", async () => {
  const bench = new Bench(2)
  bench.push(...jobs("a1", "a2", "b1", "c1"))
  expect(bench.names).toEqual(["a1", "b1"])
  expect(bench.mailbox.running).toBe(2)
  await bench.end(bench.started[0])
  expect(bench.names).toEqual(["a1", "b1", "c1"])
  await bench.end(bench.started[1])
  expect(bench.names).toEqual(["a1", "b1", "c1", "a2"])
})

test("a key that is always busy starves neither other keys nor items without a key", async () => {
  const bench = new Bench(1)
  bench.push(...jobs("a1", "a2", "a3", "b1", "-1", "-2", "c1"))
  for (let i = 0; i < 7; i++) {
    await bench.end(bench.started.at(-1))
    if (i < 3) bench.push({ key: "a", n: 10 + i })
  }
  expect(bench.names.slice(0, 7)).toEqual(["a1", "b1", "-1", "-2", "c1", "a2", "a3"])
})

test("an item that pauses gives its place away, keeps its key, and comes back when there is a place", async () => {
  const wakes: (() => void)[] = []
  const bench = new Bench(1, async (job, mailbox) => {
    if (job.key === "a" && job.n === 1) await mailbox.pause(new Promise<void>((wake) => wakes.push(wake)))
  })
  bench.push(...jobs("a1", "a2", "b1", "c1"))
  await settled()
  expect(bench.names).toEqual(["a1", "b1"])
  wakes[0]?.()
  await settled()
  expect(bench.mailbox.running).toBe(1)
  expect(bench.ends.size).toBe(1)
  await bench.end(bench.started[1])
  expect(bench.names).toEqual(["a1", "b1"]) // a1 was there before c1
  expect(bench.mailbox.running).toBe(1)
  await bench.end(bench.started[0])
  expect(bench.names).toEqual(["a1", "b1", "c1"])
  await bench.end(bench.started[2])
  expect(bench.names).toEqual(["a1", "b1", "c1", "a2"])
})

test("what is withdrawn never begins, what is left keeps its order, and the key is free again", async () => {
  const bench = new Bench(1)
  bench.push(...jobs("a1", "a2", "a3", "b1", "b2", "-1", "-2"))
  const gone: Job[] = []
  bench.mailbox.withdraw(
    ({ n }) => n === 2,
    (job) => gone.push(job),
  )
  expect(gone.map(({ key, n }) => `${key ?? "-"}${n}`).sort()).toEqual(["-2", "a2", "b2"])
  for (let i = 0; i < 5; i++) await bench.end(bench.started.at(-1))
  expect(bench.names).toEqual(["a1", "b1", "-1", "a3"])
  bench.push(...jobs("a2"))
  expect(bench.names.at(-1)).toBe("a2")
})

test("a closed mailbox begins nothing more; what runs ends, and then it is idle", async () => {
  const bench = new Bench(2)
  bench.push(...jobs("a1", "b1", "c1"))
  bench.mailbox.close()
  let idle = false
  void bench.mailbox.idle().then(() => {
    idle = true
  })
  await bench.end(bench.started[0])
  expect([bench.names, idle]).toEqual([["a1", "b1"], false])
  await bench.end(bench.started[1])
  expect([bench.names, idle]).toEqual([["a1", "b1"], true])
  await bench.mailbox.idle()
})

test("an item that pauses when the mailbox is closed is let go on, to see that it has to stop", async () => {
  let resumed = false
  const bench = new Bench(1, async (job, mailbox) => {
    if (job.key !== "a") return
    await mailbox.pause(Promise.resolve())
    resumed = true
  })
  bench.push(...jobs("a1", "b1"))
  await settled()
  expect(resumed).toBe(false)
  bench.mailbox.close()
  await settled()
  expect(resumed).toBe(true)
})

test("a mailbox limited to 0 begins nothing and resumes nothing, limited to more it goes on with what came first", async () => {
  const bench = new Bench(2, async (job, mailbox) => {
    if (job.n === 1) await mailbox.pause(settled())
  })
  bench.push(...jobs("a1"))
  bench.mailbox.limit(0)
  bench.push(...jobs("a2", "b3", "c4", "d5"))
  await settled()
  await settled()
  expect([bench.names, bench.mailbox.running, bench.ends.size]).toEqual([["a1"], 0, 0])
  bench.mailbox.limit(1)
  await settled()
  expect([bench.names, bench.mailbox.running, bench.ends.size]).toEqual([["a1"], 1, 1])
  bench.mailbox.limit(3)
  await settled()
  expect([bench.names, bench.mailbox.running]).toEqual([["a1", "b3", "c4"], 3])
  bench.mailbox.limit(0)
  for (const job of bench.started) await bench.end(job)
  expect([bench.names, bench.mailbox.running]).toEqual([["a1", "b3", "c4"], 0])
  bench.mailbox.limit(2)
  expect(bench.names).toEqual(["a1", "b3", "c4", "d5", "a2"])
})

test("whatever is pushed, paused and withdrawn: keys are serial and in order, the bound holds, nothing is forgotten", async () => {
  const key = fc.option(fc.constantFrom("a", "b", "c"), { nil: undefined })
  const action = fc.oneof(
    { weight: 6, arbitrary: key.map((of) => ({ push: of })) },
    { weight: 6, arbitrary: fc.nat(5).map((pick) => ({ end: pick })) },
    { weight: 1, arbitrary: fc.nat(2).map((rest) => ({ withdraw: rest })) },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (actions, concurrency) => {
        let most = 0
        const busy = new Set<string>()
        const bench = new Bench(concurrency, async (job, mailbox) => {
          expect(job.key !== undefined && busy.has(job.key)).toBe(false)
          if (job.key !== undefined) busy.add(job.key)
          most = Math.max(most, mailbox.running)
          if (job.n % 4 === 0) await mailbox.pause(settled())
          most = Math.max(most, mailbox.running)
        })
        const end = async (pick: number): Promise<void> => {
          const [job] = [...bench.ends.keys()].slice(pick % Math.max(1, bench.ends.size))
          if (job?.key !== undefined) busy.delete(job.key)
          await bench.end(job)
        }
        const expected = new Set<Job>()
        let n = 0
        for (const each of actions) {
          if ("push" in each) {
            const job = { key: each.push, n: n++ }
            expected.add(job)
            bench.push(job)
          } else if ("end" in each) await end(each.end)
          else
            bench.mailbox.withdraw(
              (job) => job.n % 3 === each.withdraw,
              (job) => expected.delete(job),
            )
        }
        const left = () => bench.started.length < expected.size || bench.mailbox.running > 0
        for (let rounds = 0; left(); rounds++) {
          await end(0)
          expect(rounds).toBeLessThan(500)
        }
        expect(new Set(bench.started)).toEqual(expected)
        expect(bench.started.length).toBe(expected.size)
        expect(most).toBeLessThanOrEqual(concurrency)
        for (const of of ["a", "b", "c"]) {
          const order = bench.started.filter((job) => job.key === of).map((job) => job.n)
          expect(order).toEqual([...order].sort((x, y) => x - y))
        }
      },
    ),
    { numRuns: 300 },
  )
})

test("room is what could begin at once: not what waits behind its own key, and places of those that pause", async () => {
  let told = 0
  let over = (): void => {}
  const wait = new Promise<void>((resolve) => {
    over = resolve
  })
  const bench = new Bench(3, async (job, mailbox) => {
    if (job.key === "p") await mailbox.pause(wait)
  })
  bench.mailbox.onRoom(() => {
    told += 1
  })
  expect(bench.mailbox.room).toBe(3)
  bench.push(...jobs("a1", "a2", "a3", "b1"))
  expect(bench.mailbox.room).toBe(1)
  bench.push(...jobs("p1"))
  expect([bench.mailbox.room, told > 0], "it pauses at once").toEqual([1, true])
  bench.push(...jobs("c1", "d1"))
  expect(bench.mailbox.room, "all run, one waits").toBe(0)
  over()
  await settled()
  const before = told
  await bench.end(bench.started[0])
  expect(told).toBeGreaterThan(before)
  bench.mailbox.limit(10)
  expect(bench.mailbox.room).toBe(10 - bench.mailbox.running)
  bench.mailbox.close()
  expect(bench.mailbox.room).toBe(0)
})
