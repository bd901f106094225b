import { describe, test } from "vitest"
import { startTestServer } from "../support/nats-server.js"
import { EVENTS } from "./contract/events.js"
import { LANES } from "./contract/lanes.js"
import { LOGS } from "./contract/logs.js"
import { onModel } from "./contract/model-rig.js"
import { onServer } from "./contract/server-rig.js"
import { SHARED } from "./contract/shared.js"

/**
 * The simulator is worth as much as its model of the server. So what it says of logs, events and consumers is said once,
 * and held to both: to the model under many seeds, and to a real server through the classes that the runtime uses.
 */
const SUITES = { logs: LOGS, events: EVENTS, lanes: LANES, shared: SHARED }
const SEEDS = 30

describe.each(Object.entries(SUITES))("%s", (_, suite) => {
  describe("of the model", () => {
    test.each(Object.entries(suite))("%s", async (_, body) => {
      for (let seed = 1; seed <= SEEDS; seed++) await onModel(`contract ${seed}`, body)
    })
  })

  // most of them wait most of the time: so they wait beside each other, each with a server that it may kill
  describe.concurrent("of the server", () => {
    test.each(Object.entries(suite))("%s", async (_, body) => {
      const server = await startTestServer()
      try {
        await onServer(server, "rig", body)
      } finally {
        await server.stop()
      }
    })
  })
})
