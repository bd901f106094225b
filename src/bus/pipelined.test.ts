import fc from "fast-check"
import { expect, test } from "vitest"
import { pipelined } from "./pipelined.js"

const tick = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function collect<T>(source: AsyncIterable<T>): Promise<{ values: T[]; error: unknown }> {
  const values: T[] = []
  try {
    for await (const value of source) values.push(value)
    return { values, error: undefined }
  } catch (error) {
    return { values, error }
  }
}

test("results come in the order of the input, whatever the order in which they are ready, and the bound is kept", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(3), { maxLength: 40 }),
      fc.integer({ min: 1, max: 8 }),
      fc.boolean(),
      async (delays, inflightMax, lazily) => {
        let inflight = 0
        let most = 0
        const send = async (n: number): Promise<number> => {
          inflight += 1
          most = Math.max(most, inflight)
          await tick(delays[n])
          inflight -= 1
          return n
        }
        const numbers = delays.map((_, n) => n)
        const source = lazily ? slowly(numbers) : numbers
        expect((await collect(pipelined(source, send, inflightMax))).values).toEqual(numbers)
        expect(most).toBeLessThanOrEqual(inflightMax)
      },
    ),
    { numRuns: 60 },
  )
})

async function* slowly<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await tick()
    yield value
  }
}

test("a result is yielded while the input is silent", async () => {
  let next: ((value: number) => void) | undefined
  const input = async function* (): AsyncGenerator<number> {
    yield 1
    yield await new Promise<number>((resolve) => {
      next = resolve
    })
  }
  const results = pipelined(input(), async (n) => n * 10, 256)
  expect((await results.next()).value).toBe(10)
  next?.(2)
  expect((await results.next()).value).toBe(20)
  expect((await results.next()).done).toBe(true)
})

test("at the first failure nothing more is begun, and what came before it is yielded", async () => {
  const begun: number[] = []
  const send = async (n: number): Promise<number> => {
    begun.push(n)
    if (n === 3) throw new Error("no")
    return n
  }
  const { values, error } = await collect(
    pipelined(
      Array.from({ length: 100 }, (_, n) => n),
      send,
      4,
    ),
  )
  expect(values).toEqual([0, 1, 2])
  expect(error).toEqual(new Error("no"))
  expect(begun.length).toBeLessThanOrEqual(3 + 4 + 1)
})

test("an input that fails is reported after the results of what it had yielded", async () => {
  const input = function* (): Generator<number> {
    yield 1
    yield 2
    throw new Error("line 3 is no JSON")
  }
  const { values, error } = await collect(pipelined(input(), async (n) => n, 10))
  expect(values).toEqual([1, 2])
  expect(error).toEqual(new Error("line 3 is no JSON"))
})

test("whoever stops early is not held up by an input that waits, and the input is told", async () => {
  let returned = false
  const input: AsyncIterableIterator<number> = {
    [Symbol.asyncIterator]: () => input,
    next: (() => {
      let calls = 0
      return () => (calls++ === 0 ? Promise.resolve({ value: 1, done: false }) : new Promise(() => {}))
    })() as () => Promise<IteratorResult<number>>,
    return: async () => {
      returned = true
      return { value: undefined, done: true }
    },
  }
  for await (const value of pipelined(input, async (n) => n, 8)) {
    expect(value).toBe(1)
    break
  }
  expect(returned).toBe(true)
})
