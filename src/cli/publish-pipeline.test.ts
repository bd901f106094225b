import { expect, test } from "vitest"
import type { PublishAck } from "../bus/publisher.js"
import { type Numbered, publishAll } from "./publish-pipeline.js"

const ackOf = (n: number): PublishAck => ({ id: String(n), type: "a", key: undefined, seq: n, duplicate: false })
const drafts = (count: number): Numbered[] =>
  Array.from({ length: count }, (_, n) => ({ line: n + 1, draft: { type: "a", data: n + 1 } }))

test("Acks are reported in the order of the input, whatever their own order", async () => {
  const reported: number[] = []
  const publish = async ({ data }: { data: unknown }): Promise<PublishAck> => {
    await new Promise((resolve) => setTimeout(resolve, Number(data) % 2 === 0 ? 0 : 5))
    return ackOf(Number(data))
  }
  const end = await publishAll(drafts(10), publish, async ({ seq }) => void reported.push(seq))
  expect(end).toEqual({ stored: 10, failure: undefined })
  expect(reported).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

test("At most 256 wait at a time, and the input is read no faster than that", async () => {
  let read = 0
  let acked = 0
  let most = 0
  function* input(): Generator<Numbered> {
    for (const one of drafts(2_000)) {
      read += 1
      most = Math.max(most, read - acked)
      yield one
    }
  }
  const publish = async ({ data }: { data: unknown }): Promise<PublishAck> => {
    await new Promise((resolve) => setImmediate(resolve))
    return ackOf(Number(data))
  }
  await publishAll(input(), publish, async () => {
    acked += 1
  })
  expect(acked).toBe(2_000)
  expect(most).toBeLessThanOrEqual(257)
})

test("A failure names its line, begins nothing more, and reports what was stored beside it", async () => {
  let begun = 0
  const reported: number[] = []
  const publish = async ({ data }: { data: unknown }): Promise<PublishAck> => {
    begun += 1
    if (data === 3) throw new Error("refused")
    return ackOf(Number(data))
  }
  const end = await publishAll(drafts(1_000), publish, async ({ seq }) => void reported.push(seq))
  expect(end.failure).toMatchObject({ event: { line: 3 }, error: { message: "refused" } })
  expect(begun).toBeLessThan(300)
  expect(reported).toHaveLength(begun - 1)
  expect(end.stored).toBe(reported.length)
})

test("An input that breaks off is the failure, after all that came before it was reported", async () => {
  async function* input(): AsyncGenerator<Numbered> {
    yield* drafts(2)
    throw new Error("line 3 is no JSON")
  }
  const reported: number[] = []
  const end = await publishAll(
    input(),
    async ({ data }) => ackOf(Number(data)),
    async ({ seq }) => void reported.push(seq),
  )
  expect(end).toMatchObject({ stored: 2, failure: { event: undefined, error: { message: "line 3 is no JSON" } } })
  expect(reported).toEqual([1, 2])
})
