import { expect, test } from "vitest"
import { ReactPipelines } from "./react-pipelines.js"
import type { ReactSession } from "./react-session.js"

/** A pipeline that only says which event its oldest window begins with. */
interface Stub {
  readonly key: string | undefined
  firstSeq: number | undefined
  disposed: boolean
  dispose(): void
}

function bench(): { pipelines: ReactPipelines; made: Stub[] } {
  const made: Stub[] = []
  const pipelines = new ReactPipelines((key) => {
    const stub: Stub = {
      key,
      firstSeq: undefined,
      disposed: false,
      dispose() {
        stub.disposed = true
      },
    }
    made.push(stub)
    return stub as unknown as ReactSession
  })
  return { pipelines, made }
}

test("one key has one pipeline, until it is discarded", () => {
  const { pipelines, made } = bench()
  const first = pipelines.of("a")
  expect(pipelines.of("a")).toBe(first)
  expect(pipelines.of(undefined)).not.toBe(first)
  pipelines.discard(first)
  expect(made[0]?.disposed).toBe(true)
  expect(pipelines.of("a")).not.toBe(first)
  pipelines.dispose()
  expect(made.every(({ disposed }) => disposed)).toBe(true)
  expect([...pipelines]).toEqual([])
})

test("the oldest event of all open windows is known", () => {
  const { pipelines, made } = bench()
  for (const key of ["a", "b", "c"]) pipelines.of(key)
  expect(pipelines.oldestSeq(100)).toBe(100)
  for (const [index, seq] of [50, undefined, 70].entries()) Object.assign(made[index] ?? {}, { firstSeq: seq })
  expect(pipelines.oldestSeq(100)).toBe(50)
  expect(pipelines.oldestSeq(40)).toBe(40)
})

test("of many pipelines the one goes that was used longest ago and holds no window", () => {
  const { pipelines, made } = bench()
  for (let n = 0; n < 10_000; n++) pipelines.of(`k${n}`)
  Object.assign(made[0] ?? {}, { firstSeq: 1 })
  pipelines.of("k1")
  pipelines.of("new")
  expect(made.filter(({ disposed }) => disposed).map(({ key }) => key)).toEqual(["k2"])
  pipelines.of("newer")
  expect(made.filter(({ disposed }) => disposed).map(({ key }) => key)).toEqual(["k2", "k3"])
})

test("pipelines that all hold windows are kept, and a new key is not slow for it", () => {
  const { pipelines, made } = bench()
  const count = 30_000
  const began = Date.now()
  for (let n = 0; n < count; n++) {
    pipelines.of(`k${n}`)
    Object.assign(made[n] ?? {}, { firstSeq: n })
  }
  expect(Date.now() - began).toBeLessThan(2_000)
  expect(made.some(({ disposed }) => disposed)).toBe(false)
  expect([...pipelines].length).toBe(count)
})
