import { type SealedEvent, seal } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { MeshNames } from "../bus/subjects.js"
import { RouteTable } from "../router/table.js"
import { noTelemetry } from "../telemetry/ports.js"
import { EmitGate } from "./context.js"
import type { Attempt, DeadReason } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { AgentStats } from "./host.js"
import { IntakeGate } from "./intake.js"
import { judge } from "./retry.js"
import { codeRoutes, routingOf, withoutPredicates } from "./routes.js"
import { StepRunner } from "./step.js"
import { MemoryJournals, MemorySessions } from "./test-memory.js"
import { MemoryPipelines } from "./test-pipelines.js"

/** What became of the events of one `when`. */
export interface AgentTestResult {
  /** What the agent emitted, in order. */
  readonly emitted: readonly EventDraft[]
  /** Events that do not concern the agent: no route, or its filter or predicate said no. */
  readonly skipped: readonly MurmurEvent[]
  /** Events that would be in the dead letters now, and why. */
  readonly dead: readonly { readonly event: MurmurEvent; readonly reason: DeadReason; readonly error: Error }[]
  /** How often each step was tried, all events together. */
  readonly attempts: number
}

/** An agent under test. */
export interface AgentTest {
  /** Events that came before: they are handled, and what they lead to is not part of the result. */
  given(...drafts: EventDraft[]): AgentTest
  /** Events whose effects are asked for. */
  when(...drafts: EventDraft[]): Promise<AgentTestResult>
  /** As `when`, and then everything goes quiet: open windows close. */
  whenQuiet(...drafts: EventDraft[]): Promise<AgentTestResult>
  /** The state of a session, by key. */
  state(key?: string): Promise<unknown>
}

/**
 * Tests an agent without a server: routing, validation, handler or pipeline and the rules for emitting are those of the
 * running mesh; delays between attempts are left out.
 *
 * @param options `replay: "always"` throws each run away after every journaled call and begins it again: what is not
 *   deterministic shows at once
 * @example
 * const { emitted } = await testAgent(triage).when(RunCompleted({ repository: "acme/web", conclusion: "failure" }))
 * expect(emitted).toMatchObject([{ type: "incident.opened", key: "acme/web" }])
 */
export function testAgent(agent: AgentDefinition, options: { replay?: "always" } = {}): AgentTest {
  const bench = new Bench(agent, options.replay === "always")
  const before: EventDraft[] = []
  const run = async (drafts: EventDraft[], quiet: boolean): Promise<AgentTestResult> => {
    await bench.run(before.splice(0), false)
    return bench.run(drafts, quiet)
  }
  const test: AgentTest = {
    given: (...drafts) => {
      before.push(...drafts)
      return test
    },
    when: (...drafts) => run(drafts, false),
    whenQuiet: (...drafts) => run(drafts, true),
    state: async (key) => {
      await bench.run(before.splice(0), false)
      return bench.state(key)
    },
  }
  return test
}

const names = new MeshNames("test")

/** How one step went. */
interface Tried {
  readonly attempts: number
  readonly dead?: { readonly reason: DeadReason; readonly error: Error }
}

/** The runtime of one agent, with lists where the bus would be. */
class Bench {
  readonly #intake: IntakeGate
  readonly #step: StepRunner | undefined
  readonly #journals: MemoryJournals
  readonly #sessions: MemorySessions | undefined
  readonly #pipelines: MemoryPipelines | undefined
  /** Events that broke pipelines, since the last result. */
  readonly #broken: { event: MurmurEvent; reason: DeadReason; error: Error }[] = []
  #outputs: SealedEvent[] = []
  #seq = 0

  constructor(
    private readonly agent: AgentDefinition,
    replayAlways: boolean,
  ) {
    this.#journals = new MemoryJournals(agent.name, replayAlways)
    const table = RouteTable.from(codeRoutes([agent]))
    const plain = withoutPredicates(table)
    this.#intake = new IntakeGate(agent, names, routingOf(agent.name, { plain: () => plain, full: () => table }))
    const { behaviour } = agent
    if (behaviour.kind === "react") {
      const gate = new EmitGate(agent.name, agent.emits)
      this.#pipelines = new MemoryPipelines({ ...agent, behaviour }, names.mesh, gate, {
        emitted: (outputs) => this.#outputs.push(...outputs),
        dead: (event, error) => this.#broken.push({ event, reason: "failed", error }),
      })
    }
    if (behaviour.kind === "handle") {
      const store = async (event: SealedEvent): Promise<void> => {
        this.#outputs.push(event)
      }
      this.#sessions = agent.state && new MemorySessions(agent.state, (event) => this.#outputs.push(event))
      const ports = {
        telemetry: noTelemetry,
        bus: { names, publisher: { store } },
        openJournal: (eventId: string) => this.#journals.open(eventId),
        sessions: this.#sessions,
      }
      this.#step = new StepRunner({ ...agent, behaviour }, ports, new AgentStats())
    }
  }

  async run(drafts: readonly EventDraft[], quiet: boolean): Promise<AgentTestResult> {
    this.#outputs = []
    const skipped: MurmurEvent[] = []
    const dead: { event: MurmurEvent; reason: DeadReason; error: Error }[] = []
    let attempts = 0
    for (const draft of drafts) {
      const arrived = { ...seal(draft, { mesh: names.mesh, producer: "test" }), seq: ++this.#seq }
      const intake = this.#intake.inspect(arrived)
      if (intake.kind === "skip") skipped.push(arrived)
      else if (intake.kind === "dead")
        dead.push({ event: arrived, reason: intake.given.reason, error: intake.given.error })
      else {
        const outcome = await this.#react(intake.event)
        attempts += outcome.attempts
        if (outcome.dead !== undefined) dead.push({ event: arrived, ...outcome.dead })
      }
    }
    if (quiet) this.#pipelines?.quiet()
    dead.push(...this.#broken.splice(0))
    return { emitted: this.#outputs, skipped, dead, attempts }
  }

  async state(key: string | undefined): Promise<unknown> {
    return (await this.#sessions?.load(key))?.state
  }

  async #react(event: MurmurEvent): Promise<Tried> {
    if (this.#step !== undefined) return this.#try(this.#step, event)
    this.#pipelines?.deliver(event)
    return { attempts: 1 }
  }

  async #try(step: StepRunner, event: MurmurEvent): Promise<Tried> {
    const attempts: Attempt[] = []
    for (;;) {
      const input = { event, storedAtMs: Date.parse(event.time), ordered: true }
      const outcome = await step.attempt(input, attempts.length + 1, new AbortController().signal)
      if (this.#journals.takeInterrupted()) continue
      if (outcome.ok) return { attempts: attempts.length + 1 }
      attempts.push(outcome.attempt)
      const verdict = judge(outcome.error, attempts.length, this.agent.retry, 0.5)
      if (verdict.next === "retry") continue
      return { attempts: attempts.length, dead: { reason: verdict.reason, error: outcome.error } }
    }
  }
}
