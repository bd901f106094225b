import { expect, test } from "vitest"
import type { BusCore } from "../../bus/bus-core.js"
import type { EventDraft } from "../../bus/event.js"
import type { PublishOptions } from "../../bus/publisher.js"
import { MeshNames } from "../../bus/subjects.js"
import { noTelemetry } from "../../telemetry/ports.js"
import { DENIED, Denials } from "./denials.js"

const setup = (publish?: () => Promise<unknown>) => {
  const told: (EventDraft & PublishOptions)[] = []
  let now = 0
  const denials = new Denials({
    ...{ node: "n1", telemetry: noTelemetry, steady: () => now },
    owners: () => ["a", "b"],
    bus: {
      ...{ names: new MeshNames("test"), link: { rights: { user: "UA" } }, onDenied() {} },
      publish: (publish ??
        (async (draft: EventDraft, options: PublishOptions) =>
          void told.push({ ...draft, ...options }))) as BusCore["publish"],
    },
  })
  const deny = (subject: string) => denials.tell({ operation: "publish", subject, cause: "e1" })
  return { told, deny, later: (ms: number) => (now += ms) }
}

test("a denied publish is told by the agent whose subject it is, with its cause", async () => {
  const { told, deny } = setup()
  await deny("test.ev.b.k.x")
  expect(told).toMatchObject([
    {
      ...{ type: DENIED, key: "b", producer: "b" },
      data: { agent: "b", node: "n1", user: "UA", operation: "publish", subject: "test.ev.b.k.x", cause: "e1" },
    },
  ])
})

test("what is none of its agents' own is told by the first", async () => {
  const { told, deny } = setup()
  await deny("$JS.API.STREAM.DELETE.test_EVENTS")
  expect(told.map(({ producer }) => producer)).toEqual(["a"])
})

test("a subject is told of once in a minute", async () => {
  const { told, deny, later } = setup()
  for (let n = 0; n < 5; n++) await deny("test.ev.a.k.x")
  expect(told).toHaveLength(1)
  later(60_000)
  await deny("test.ev.a.k.x")
  expect(told).toHaveLength(2)
})

test("of many subjects a thousand are told of in a minute", async () => {
  const { told, deny } = setup()
  for (let n = 0; n < 1_100; n++) await deny(`test.ev.a.k${n}.x`)
  expect(told).toHaveLength(1_000)
})

test("that it may not be told is not told", async () => {
  const { told, deny } = setup()
  await deny(`test.ev.a.a.${DENIED}`)
  expect(told).toEqual([])
  const failing = setup(() => Promise.reject(new Error("denied")))
  await failing.deny("test.ev.a.k.x")
})
