import { seal } from "../../bus/encode.js"
import type { EventDraft } from "../../bus/event.js"
import { MeshNames } from "../../bus/subjects.js"
import { noTelemetry } from "../../telemetry/ports.js"
import { systemClock } from "../clock.js"
import type { AgentDefinition } from "../define-agent.js"
import { memoryGuards } from "../guards/memory.js"
import { AgentStats } from "../host.js"
import { Journal } from "../journal/journal.js"
import { journalSubject } from "../journal/records.js"
import { StepRunner } from "../step.js"
import type { Outcome, StepInput } from "../step-ports.js"
import { MemoryLog } from "../test-memory.js"
import { memoryToolServices } from "../tools/memory-services.js"
import type { TestGateway } from "./test-gateway.js"
import { testMinds } from "./test-minds.js"

/** One step whose attempts are made one by one, as its node makes them: they share a journal as long as nobody dies. */
export interface StepBench {
  readonly emitted: readonly unknown[]
  /** Types of what was told of its runs, those in which outsiders have a say with a `!`. */
  readonly told: readonly string[]
  /** @param died whether the process died before: then nothing is known but what is in the journal */
  attempt(number: number, options?: { readonly died?: boolean; readonly stopping?: AbortSignal }): Promise<Outcome>
  journal(): Promise<Journal>
}

const names = new MeshNames("test")

export function stepBench(agent: AgentDefinition, gateway: TestGateway, draft: EventDraft): StepBench {
  const { behaviour } = agent
  if (behaviour.kind !== "handle") throw new Error("only for handlers")
  const log = new MemoryLog()
  const emitted: unknown[] = []
  const told: string[] = []
  const event = { ...seal(draft, { mesh: names.mesh, producer: "test" }), seq: 1 }
  const openJournal = (id: string): Promise<Journal> =>
    Journal.open({ log, clock: systemClock }, journalSubject(names.mesh, agent.name, id), agent.name)
  const nothing = async (): Promise<void> => {}
  const runner = new StepRunner(
    { ...agent, behaviour },
    {
      ...{ telemetry: noTelemetry, names, clock: systemClock, openJournal, nodeId: "test", sessions: undefined },
      suspension: { openInbox: nothing, setTimer: nothing, clearTimer: nothing, ask: nothing, answered: nothing },
      events: {
        store: async ({ data }) => {
          emitted.push(data)
        },
        ids: async function* () {},
      },
      guards: memoryGuards().of(agent),
      toolServices: memoryToolServices(),
      minds: testMinds({ gateways: [gateway], default: "test/m" }, ({ type }, { trust }) => {
        told.push(`${type.replace("murmur.run.", "")}${trust === "external" ? "!" : ""}`)
      }),
      redact: (text) => text,
      pause: (wait) => wait,
      original: async (same) => same,
    },
    new AgentStats(),
  )
  const input: StepInput = {
    ...{ event, storedAtMs: Date.now(), ordered: true, sentBack: false, careful: false, journal: undefined },
    ...{ previousAttempt: undefined, admitted: false },
  }
  return {
    emitted,
    told,
    journal: () => openJournal(event.id),
    attempt: (number, { died = false, stopping = new AbortController().signal } = {}) => {
      if (died) input.journal = undefined
      return runner.attempt(input, number, stopping)
    },
  }
}
