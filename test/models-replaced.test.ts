import { setTimeout as delay } from "node:timers/promises"
import { afterEach, beforeEach, expect, test } from "vitest"
import { TestGateway } from "../src/agents/llm/test-gateway.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { BrokerCall, BrokerRequest } from "../src/gateways/broker/broker.js"
import { NodeMinds } from "../src/node/minds.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let nats: TestServer
let bus: Bus
beforeEach(async () => {
  nats = await startTestServer()
  bus = await openBus({ url: nats.url, name: "tester" })
  await bus.ensureStreams()
})
afterEach(async () => {
  await bus.close()
  await nats.stop()
})

const request: BrokerRequest = { models: ["test/m"], messages: [{ role: "user", content: "x" }], options: {} }
const call: BrokerCall = { signal: new AbortController().signal }

/** A model that answers when it is told to. */
function slow() {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const gateway = new TestGateway(async () => {
    await opened
    return { text: "slowly" }
  })
  return { gateway, open: () => open() }
}

test("models that are replaced answer what they were asked before; the others are asked from then on", async () => {
  const [old, young] = [slow(), slow()]
  young.open()
  const minds = new NodeMinds({ bus, telemetry: noTelemetry }, { gateways: [old.gateway] })
  const asked = minds.broker.complete(request, call)
  await until("the call", () => old.gateway.asked.length === 1)
  minds.replace({ gateways: [young.gateway] })
  await minds.broker.complete(request, call)
  expect(young.gateway.asked.length).toBe(1)
  await delay(20)
  old.open()
  expect((await asked).message.content).toBe("slowly")
  await minds.close()
})

test("a node that stops breaks off what replaced models are still asked", async () => {
  const old = slow()
  const minds = new NodeMinds({ bus, telemetry: noTelemetry }, { gateways: [old.gateway] })
  const asked = minds.broker.complete(request, call)
  await until("the call", () => old.gateway.asked.length === 1)
  minds.replace({ gateways: [slow().gateway] })
  const broken = expect(asked).rejects.toMatchObject({ code: "LLM_CLOSED" })
  await minds.close()
  await broken
})
