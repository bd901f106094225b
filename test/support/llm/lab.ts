import type { DeadLetter } from "../../../src/agents/dead-letters.js"
import type { AgentDefinition } from "../../../src/agents/define-agent.js"
import { type JournalRecord, parseRecord } from "../../../src/agents/journal/records.js"
import type { Bus } from "../../../src/bus/bus.js"
import { defineModels, type ModelsOptions } from "../../../src/gateways/define-models.js"
import { openai } from "../../../src/gateways/openai/openai.js"
import { DeadLetters } from "../../../src/node/dead-letter-store.js"
import type { Telemetry } from "../../../src/telemetry/ports.js"
import { readAll } from "../checker.js"
import { startMesh, type TestMesh } from "../mesh.js"
import type { FakeServer } from "./fake-server.js"
import { startOpenAiServer } from "./openai-server.js"

/** A mesh whose agents think with a server on this machine that speaks OpenAI's protocol. */
export interface Lab {
  readonly mesh: TestMesh
  readonly bus: Bus
  readonly server: FakeServer
  readonly models: ModelsOptions
  letters(): Promise<DeadLetter[]>
  stop(): Promise<void>
}

export interface LabOptions extends Omit<ModelsOptions, "gateways"> {
  /** How long an answer may stop coming, in milliseconds. */
  readonly idleTimeoutMs?: number
  readonly telemetry?: Telemetry
}

/** Starts a node with agents, whose model is `lab/model`; there is `lab/vectors` for embeddings. */
export async function startLab(agents: readonly AgentDefinition[], options: LabOptions = {}): Promise<Lab> {
  const { idleTimeoutMs, telemetry, ...more } = options
  const server = await startOpenAiServer()
  const gateway = openai({
    ...{ provider: "lab", baseURL: `${server.url}/v1`, apiKey: "none" },
    ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
  })
  const models = defineModels({
    gateways: [gateway],
    default: "lab/model",
    models: {
      "lab/model": { tools: true, schema: true, price: { inputUsd: 1, outputUsd: 2 } },
      "lab/vectors": { price: { inputUsd: 1, outputUsd: 0 } },
    },
    ...more,
  })
  const mesh = await startMesh({ agents, models }, telemetry === undefined ? {} : { telemetry }).catch(
    async (error) => {
      await server.close()
      throw error
    },
  )
  return {
    ...{ mesh, bus: mesh.bus, server, models },
    letters: () => lettersOf(mesh.bus),
    stop: async () => {
      await server.close()
      await mesh.stop()
    },
  }
}

/** All dead letters of a mesh. */
export async function lettersOf(bus: Bus): Promise<DeadLetter[]> {
  const found: DeadLetter[] = []
  for await (const { letter } of new DeadLetters(bus).list()) found.push(letter)
  return found
}

/** What is in the journals of an agent's steps, by event. */
export async function journalsOf(bus: Bus, agent: string): Promise<Map<string, JournalRecord[]>> {
  const journals = new Map<string, JournalRecord[]>()
  for (const { subject, data } of await readAll(bus, bus.names.stepsOf("any"), `${bus.names.mesh}.step.${agent}.*`)) {
    const event = subject.split(".").at(-1) ?? ""
    journals.set(event, [...(journals.get(event) ?? []), parseRecord(data, subject)])
  }
  return journals
}
