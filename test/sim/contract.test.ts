import { afterAll, beforeAll, describe, test } from "vitest"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { EVENTS, LANES, LOGS } from "./contract/contract.js"
import { onModel } from "./contract/model-rig.js"
import { onServer } from "./contract/server-rig.js"

/**
 * The simulator is worth as much as its model of the server. So what it says of logs, events and consumers is said once,
 * and held to both: to the model under many seeds, and to a real server through the classes that the runtime uses.
 */
const SUITES = { logs: LOGS, events: EVENTS, lanes: LANES }
const SEEDS = 30

describe.each(Object.entries(SUITES))("%s", (_, suite) => {
  describe("of the model", () => {
    test.each(Object.entries(suite))("%s", async (_, body) => {
      for (let seed = 1; seed <= SEEDS; seed++) await onModel(`contract ${seed}`, body)
    })
  })

  describe("of the server", () => {
    let server: TestServer
    let meshes = 0
    beforeAll(async () => {
      server = await startTestServer()
    })
    afterAll(() => server?.stop())

    test.each(Object.entries(suite))("%s", (_, body) => onServer(server, `rig${++meshes}`, body))
  })
})
