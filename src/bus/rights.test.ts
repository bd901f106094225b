import { type NatsConnection, PermissionViolationError, TimeoutError } from "@nats-io/transport-node"
import { expect, test, vi } from "vitest"
import { Rights } from "./rights.js"

const CONFINED = { data: { user: "UABC", permissions: { publish: { allow: ["murmur.ev.mine.>"] } } } }

/** A server that says one thing after the other, the last one again and again. */
function saying(...answers: (Error | object)[]) {
  const request = vi.fn(async () => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer instanceof Error) throw answer
    return { json: () => answer }
  })
  return { request, connection: { request } as unknown as NatsConnection }
}

test("an answer that is late is asked for again, and not taken for a right to everything", async () => {
  const { connection } = saying(new TimeoutError(), new TimeoutError(), CONFINED)
  const rights = await Rights.of(connection)
  expect(rights).toMatchObject({ user: "UABC", restricted: true })
  expect(rights.mayPublish("murmur.ev.mine.k.t")).toBe(true)
  expect(rights.mayPublish("murmur.ev.other.k.t")).toBe(false)
})

test.each([
  ["refuses to say", new PermissionViolationError("no", "publish", "$SYS.REQ.USER.INFO"), 1],
  ["never answers", new TimeoutError(), 5],
])("where the server %s, everything is tried", async (_, answer, times) => {
  const { connection, request } = saying(answer)
  expect(await Rights.of(connection)).toMatchObject({ user: "", restricted: false })
  expect(request).toHaveBeenCalledTimes(times)
})
