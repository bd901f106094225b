import { expect, test } from "vitest"
import { extendPath, pathAttribute, ROOT_PATH, readPath } from "./causal-path.js"
import { decode } from "./decode.js"
import { encode, seal } from "./encode.js"
import type { MurmurEvent } from "./event.js"
import { MeshNames } from "./subjects.js"

const names = new MeshNames("m")

/** The event as it comes back from the stream. */
function received(sealed: ReturnType<typeof seal>, change: (json: Record<string, unknown>) => void = () => {}) {
  const json = JSON.parse(Buffer.from(encode(sealed)).toString()) as Record<string, unknown>
  change(json)
  const decoded = decode(names, {
    subject: `m.ev.0.0.${sealed.producer}._.${sealed.type}`,
    data: Buffer.from(JSON.stringify(json)),
    seq: 1,
    time: new Date(),
    header: () => undefined,
    headerNames: () => [],
  })
  if (!decoded.ok) throw new Error(decoded.message)
  return { json, event: decoded.event }
}

const output = (cause: MurmurEvent | undefined, producer: string) =>
  seal({ type: "a.b", data: 1 }, { mesh: "m", producer, cause })

test("an event carries the agents that led to it, oldest first, and at the root nothing of it is written", () => {
  const root = received(output(undefined, "feed"))
  expect(root.json).not.toHaveProperty("causalpath")
  expect(root.event.path).toEqual([])
  const second = received(output(root.event, "ping"))
  expect(second.json.causalpath).toBe("ping")
  const third = received(output(second.event, "pong"))
  expect(third.json.causalpath).toBe("ping/pong")
  expect(third.event.path).toEqual(["ping", "pong"])
  expect(third.event.extensions).toEqual({})
})

test("of a long path the newest 32 agents are kept", () => {
  let path = ROOT_PATH
  for (let hop = 1; hop <= 40; hop++) path = extendPath(path, `agent-${hop}`)
  expect(path).toHaveLength(32)
  expect([path[0], path.at(-1)]).toEqual(["agent-9", "agent-40"])
  expect(readPath(pathAttribute(path))).toEqual(path)
})

test.each([7, true, null, {}, "", "/", "a//b", "Not An Agent", "a/".repeat(40)])(
  "a path that murmur would not write (%j) is ignored, and its event is not refused",
  (foreign) => {
    const { event } = received(output(undefined, "feed"), (json) => {
      json.causalpath = foreign
    })
    expect(event.path).toEqual([])
    expect(event.extensions).toEqual({})
  },
)

test("a record from before there were paths can still be published", () => {
  const old = { ...output(undefined, "feed"), path: undefined } as unknown as ReturnType<typeof seal>
  expect(received(old).event.path).toEqual([])
})
