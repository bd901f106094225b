import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../../../src/agents/define-agent.js"
import { tumbling } from "../../../src/agents/windows/operators.js"
import { type Bus, openBus } from "../../../src/bus/bus.js"
import { defineEvent } from "../../../src/bus/define-event.js"
import type { ModelsDefinition } from "../../../src/gateways/define-models.js"
import { MurmurNode } from "../../../src/node/node.js"
import { noTelemetry } from "../../../src/telemetry/ports.js"
import { startTestServer, type TestServer } from "../../support/nats-server.js"
import { murmurAt } from "./cli.js"

/** A mesh for the commands to work on: a server, and a node in this process. */
export interface TestMesh {
  readonly server: TestServer
  readonly bus: Bus
  readonly node: MurmurNode
  /** Runs `murmur` against it. */
  readonly murmur: ReturnType<typeof murmurAt>
  stop(): Promise<void>
}

export const NoteAdded = defineEvent("note.added", z.object({ text: z.string() }), { description: "Somebody wrote" })
export const NoteCounted = defineEvent("note.counted", z.object({ words: z.number() }))
const CountSeen = defineEvent("count.seen", z.object({ words: z.number() }))

/** Whether `counter` fails on a note that says "boom". */
export const trouble = { on: true }
/** What `counter` was given, by event id. */
export const handled: string[] = []

/** Counts words; may be told to fail. */
const counter = defineAgent("counter", {
  on: [NoteAdded],
  emits: [NoteCounted],
  description: "Counts words",
  retry: { attempts: 2, backoffMs: 10 },
  handle(event, ctx) {
    if (event.data.text === "boom" && trouble.on) throw new Error("it went boom")
    handled.push(event.id)
    ctx.emit(
      NoteCounted({ words: event.data.text.split(" ").length }, event.key === undefined ? {} : { key: event.key }),
    )
  },
})

/** Reacts to what `counter` emits: a cause two hops away from a note. */
const watcher = defineAgent("watcher", {
  on: [NoteCounted],
  emits: [CountSeen],
  handle: (event, ctx) => ctx.emit(CountSeen(event.data, event.key === undefined ? {} : { key: event.key })),
})

/** A pipeline, for what cannot be done with those. */
const stream = defineAgent("stream", {
  on: [defineEvent("pipe.fed", z.object({ n: z.number() }))],
  react: (events) => events.pipe(tumbling(1_000)) as never,
})

export const AGENTS: readonly AgentDefinition[] = [counter, watcher, stream]

export async function startMesh(
  agents: readonly AgentDefinition[] = AGENTS,
  models?: ModelsDefinition,
): Promise<TestMesh> {
  const server = await startTestServer()
  const bus = await openBus({ url: server.url, name: "test" })
  const hosted = { agents, sources: [], ...(models !== undefined && { models }) }
  const node = await MurmurNode.start({ bus, telemetry: noTelemetry, ...hosted, id: "node-1" })
  return {
    server,
    bus,
    node,
    murmur: murmurAt(server.url),
    async stop() {
      await node.stop(1_000)
      await bus.close()
      await server.stop()
    },
  }
}
