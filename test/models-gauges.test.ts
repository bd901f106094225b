import { afterEach, beforeEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { BrokerCall, BrokerRequest } from "../src/gateways/broker/broker.js"
import { scripted } from "../src/gateways/scripted/scripted.js"
import { NodeMinds } from "../src/node/minds.js"
import { noTelemetry, type Observation, type Observe } from "../src/telemetry/ports.js"
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

/** Gauges that are registered at this moment. */
function gauges() {
  const live = new Set<{ readonly name: string; read(): Iterable<Observation> }>()
  const observe: Observe = (name, _description, read) => {
    const gauge = { name, read }
    live.add(gauge)
    return () => live.delete(gauge)
  }
  const of = (provider: string): string[] =>
    [...live].flatMap(({ name, read }) =>
      [...read()].flatMap(({ value, labels }) =>
        labels?.["gen_ai.provider.name"] === provider ? [`${name} ${value}`] : [],
      ),
    )
  return { live, observe, of }
}

const request: BrokerRequest = { models: ["lab/m"], messages: [{ role: "user", content: "x" }], options: {} }
const call: BrokerCall = { signal: new AbortController().signal }
const lab = (delayMs: number) => scripted({ provider: "lab", replies: [{ reply: "yes" }], delayMs })

test("each provider has one set of gauges: also while models that were replaced still answer, and none afterwards", async () => {
  const { live, observe, of } = gauges()
  const slow = lab(60_000)
  const minds = new NodeMinds({ bus, telemetry: noTelemetry, observe }, { gateways: [slow] })
  expect(live.size, "nobody has asked").toBe(0)
  const asked = minds.broker.complete(request, call)
  const broken = expect(asked).rejects.toMatchObject({ code: "LLM_CLOSED" })
  await until("the call", () => slow.requests.length === 1)
  expect(of("lab")).toEqual(["murmur.llm.circuit 0", "murmur.llm.running 1", "murmur.llm.waiting 0"])
  minds.replace({ gateways: [lab(0)] })
  expect(live.size).toBe(0)
  await minds.broker.complete(request, call)
  expect(of("lab")).toEqual(["murmur.llm.circuit 0", "murmur.llm.running 0", "murmur.llm.waiting 0"])
  await minds.close()
  await broken
  expect(live.size).toBe(0)
  await expect(minds.broker.complete(request, call)).rejects.toThrow()
  expect(live.size, "nothing is made after the end").toBe(0)
})
