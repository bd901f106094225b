import { existsSync } from "node:fs"
import { expect, test } from "vitest"
import { startTestServer } from "./support/nats-server.js"

test("a test server keeps its port over kill -9 and restart, and leaves nothing behind", async () => {
  const server = await startTestServer({ sync: "always" })
  const before = server.pid
  const response = await fetch(`${server.monitorUrl}/varz`)
  expect(await response.json()).toMatchObject({ port: server.port, jetstream: { config: { sync_always: true } } })
  await server.kill9()
  await server.restart()
  expect(server.pid).not.toBe(before)
  server.pause()
  server.resume()
  await server.stop()
  await server.stop()
  expect(existsSync(server.storeDir)).toBe(false)
  expect(() => process.kill(server.pid, 0)).toThrow()
})
