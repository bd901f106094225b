import { type SealedEvent, seal } from "../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { MeshNames } from "../bus/subjects.js"
import { MurmurError } from "../errors.js"
import type { ModelsOptions } from "../gateways/define-models.js"
import { RouteTable } from "../router/table.js"
import { noTelemetry } from "../telemetry/ports.js"
import { systemClock, TIMER_MS_MAX } from "./clock.js"
import { EmitGate } from "./context.js"
import type { DeadReason } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import type { TaskResult } from "./delegation/task.js"
import { sortOutputs, type TestTask, TestTasks } from "./delegation/test-tasks.js"
import { memoryGuards } from "./guards/memory.js"
import { AgentStats, inboxType } from "./host.js"
import { type Intake, IntakeGate } from "./intake.js"
import { Journal } from "./journal/journal.js"
import { journalSubject } from "./journal/records.js"
import { testMinds } from "./llm/test-minds.js"
import type { EventPort } from "./ports.js"
import { judge } from "./retry.js"
import { Revival } from "./revival.js"
import { codeRoutes, routingOf, withoutPredicates } from "./routes.js"
import { openSessions, type SessionStore } from "./sessions/session-store.js"
import { StepRunner } from "./step.js"
import type { StepInput } from "./step-ports.js"
import type { Question, Resume, SuspensionPort, Timer } from "./suspension.js"
import { MemoryLog, ReplayAgain } from "./test-memory.js"
import { MemoryPipelines } from "./test-pipelines.js"
import { memoryToolServices } from "./tools/memory-services.js"

/** What became of the events of one `when`. */
export interface AgentTestResult {
  /** What the agent emitted, in order. */
  readonly emitted: readonly EventDraft[]
  /** What it told of its runs (`murmur.run.*`), when it asked a model. */
  readonly runs: readonly EventDraft[]
  /** Events that do not concern the agent: no route, or its filter or predicate said no. */
  readonly skipped: readonly MurmurEvent[]
  /** Events that would be in the dead letters now, and why. */
  readonly dead: readonly { readonly event: MurmurEvent; readonly reason: DeadReason; readonly error: Error }[]
  /** How often each step was tried, all events together. */
  readonly attempts: number
  /** What suspended steps wait for now: questions by their text, tasks by the agents that have them, sleeps as `sleep`. */
  readonly waiting: readonly string[]
  /** The tasks that it gave to other agents. */
  readonly delegated: readonly TestTask[]
  /** What became of the tasks that it was given, as the agents that gave them are told. */
  readonly replies: readonly TaskResult[]
}

/** An agent under test. */
export interface AgentTest {
  /** Events that came before: they are handled, and what they lead to is not part of the result. */
  given(...drafts: EventDraft[]): AgentTest
  /**
   * Events whose effects are asked for. What an agent emitted may be given as it came: it is not a root then, so loops
   * and budgets can be tested, too.
   */
  when(...drafts: EventDraft[]): Promise<AgentTestResult>
  /** As `when`, and then everything goes quiet: open windows close. */
  whenQuiet(...drafts: EventDraft[]): Promise<AgentTestResult>
  /** As much time passes as it takes: each sleep is over, and each question gets its default. */
  whenTimePasses(): Promise<AgentTestResult>
  /** A person answers the oldest question. @throws MurmurError `TEST_NO_QUESTION` */
  whenAnswered(answer: string): Promise<AgentTestResult>
  /**
   * The other agent replies to the oldest task that is open.
   *
   * @param to of this agent, when it is another one's turn
   * @throws MurmurError `TEST_NO_TASK`
   */
  whenReplied(output: unknown, to?: string): Promise<AgentTestResult>
  /** As {@link whenReplied}: the other agent has failed for good. */
  whenFailed(error: { readonly code: string; readonly message: string }, to?: string): Promise<AgentTestResult>
  /** The state of a session, by key. */
  state(key?: string): Promise<unknown>
}

/** How an agent is tested. */
export interface AgentTestOptions {
  /**
   * `always` throws each run away after every journaled call and begins it again: what is not deterministic shows at
   * once.
   */
  readonly replay?: "always"
  /** What it thinks with: nothing of the environment, only what is given here, such as `scripted(...)`. */
  readonly models?: ModelsOptions
}

/**
 * Tests an agent without a server: routing, validation, handler or pipeline and the rules for emitting are those of the
 * running mesh; delays between attempts are left out.
 *
 * @example
 * const { emitted } = await testAgent(triage).when(RunCompleted({ repository: "acme/web", conclusion: "failure" }))
 * expect(emitted).toMatchObject([{ type: "incident.opened", key: "acme/web" }])
 */
export function testAgent(agent: AgentDefinition, options: AgentTestOptions = {}): AgentTest {
  const bench = new Bench(agent, options)
  const before: EventDraft[] = []
  const run = (drafts: EventDraft[], quiet: boolean): Promise<AgentTestResult> =>
    awake(async () => {
      await bench.run(before.splice(0), false)
      return bench.run(drafts, quiet)
    })
  const test: AgentTest = {
    given: (...drafts) => {
      before.push(...drafts)
      return test
    },
    when: (...drafts) => run(drafts, false),
    whenQuiet: (...drafts) => run(drafts, true),
    whenTimePasses: () => awake(() => bench.passTime()),
    whenAnswered: (answer) => awake(() => bench.answer(answer)),
    whenReplied: (output, to) => awake(() => bench.reply({ ok: true, output }, to)),
    whenFailed: (error, to) => awake(() => bench.reply({ ok: false, error }, to)),
    state: async (key) => {
      await bench.run(before.splice(0), false)
      return bench.state(key)
    },
  }
  return test
}

/** The runtime's timers keep no process alive: a script that waits for a result would end before it. */
async function awake<T>(work: () => Promise<T>): Promise<T> {
  const alive = setInterval(() => {}, TIMER_MS_MAX)
  try {
    return await work()
  } finally {
    clearInterval(alive)
  }
}

const names = new MeshNames("test")

/** A draft is published as a root; what an agent emitted keeps its place in its tree. */
function arriving(draft: EventDraft): SealedEvent {
  return "correlationid" in draft ? (draft as SealedEvent) : seal(draft, { mesh: names.mesh, producer: "test" })
}

/** What comes of a run, as it is put together. */
interface Results {
  readonly skipped: MurmurEvent[]
  readonly dead: { event: MurmurEvent; reason: DeadReason; error: Error }[]
  attempts: number
}

/** The runtime of one agent, with lists where the bus would be. */
class Bench {
  readonly #intake: IntakeGate
  readonly #step: StepRunner | undefined
  readonly #sessions: SessionStore | undefined
  readonly #pipelines: MemoryPipelines | undefined
  readonly #revival: Revival
  /** Events that broke pipelines, since the last result. */
  readonly #broken: { event: MurmurEvent; reason: DeadReason; error: Error }[] = []
  readonly #timers = new Map<string, Timer>()
  readonly #questions = new Map<string, Question>()
  readonly #tasks = new TestTasks()
  /** Events about the agent's runs, since the last result. */
  readonly #told: EventDraft[] = []
  #outputs: SealedEvent[] = []
  /** Ids of all that it ever published. */
  readonly #stored = new Set<string>()
  #seq = 0
  /** Whether a run was broken off to be begun again. */
  #interrupted = false

  constructor(
    private readonly agent: AgentDefinition,
    private readonly options: AgentTestOptions,
  ) {
    const table = RouteTable.from(codeRoutes([agent]))
    const plain = withoutPredicates(table)
    this.#intake = new IntakeGate(agent, names, routingOf(agent.name, { plain: () => plain, full: () => table }))
    const journals = { log: new MemoryLog(), clock: systemClock, onAnswer: (call: string) => this.#onAnswer(call) }
    const openJournal = (eventId: string): Promise<Journal> =>
      Journal.open(journals, journalSubject(names.mesh, agent.name, eventId), agent.name)
    const suspension = this.#suspension()
    this.#revival = new Revival(this.#intake, openJournal, suspension, this.#events())
    const { behaviour } = agent
    if (behaviour.kind === "react") {
      const gate = new EmitGate(agent.name, agent.emits)
      this.#pipelines = new MemoryPipelines({ ...agent, behaviour }, names.mesh, gate, {
        emitted: (outputs) => this.#outputs.push(...outputs),
        dead: (event, error) => this.#broken.push({ event, reason: "failed", error }),
      })
    }
    if (behaviour.kind === "handle") {
      const sessions = { names, clock: systemClock, log: new MemoryLog() }
      this.#sessions = agent.state && openSessions(sessions, agent.name, agent.state)
      const ports = {
        ...{ telemetry: noTelemetry, names, clock: systemClock, openJournal, suspension, nodeId: "test" },
        events: this.#events(),
        guards: memoryGuards().of(agent),
        toolServices: memoryToolServices(),
        minds: testMinds(this.options.models, (draft) => this.#told.push(draft)),
        sessions: this.#sessions,
        redact: (text: string) => text,
        pause: (wait: Promise<unknown>) => wait,
        original: async (event: MurmurEvent) => event,
      }
      this.#step = new StepRunner({ ...agent, behaviour }, ports, new AgentStats())
    }
  }

  async run(drafts: readonly EventDraft[], quiet: boolean): Promise<AgentTestResult> {
    const results: Results = { skipped: [], dead: [], attempts: 0 }
    this.#outputs = []
    for (const draft of drafts) {
      const arrived = { ...arriving(draft), seq: ++this.#seq }
      await this.#take(this.#intake.inspect(arrived), arrived, { ordered: true }, results)
    }
    if (quiet) this.#pipelines?.quiet()
    return this.#result(results)
  }

  async passTime(): Promise<AgentTestResult> {
    const results: Results = { skipped: [], dead: [], attempts: 0 }
    this.#outputs = []
    for (const [id, { step, position }] of [...this.#timers]) {
      this.#timers.delete(id)
      this.#tasks.over(id)
      await this.#resume({ kind: "wake", step, position }, results)
    }
    return this.#result(results)
  }

  async answer(answer: string): Promise<AgentTestResult> {
    const results: Results = { skipped: [], dead: [], attempts: 0 }
    const [question] = this.#questions.values()
    if (question === undefined) {
      throw new MurmurError(`"${this.agent.name}" asks nothing that could be answered with "${answer}"`, {
        code: "TEST_NO_QUESTION",
      })
    }
    const { step, position, id } = question
    this.#outputs = []
    await this.#resume({ kind: "answer", step, position, question: id, answer }, results)
    return this.#result(results)
  }

  async reply(result: TaskResult, to: string | undefined): Promise<AgentTestResult> {
    const results: Results = { skipped: [], dead: [], attempts: 0 }
    const { resume, agent } = this.#tasks.reply(this.agent.name, result, to)
    this.#outputs = []
    await this.#resume(resume, results, agent)
    return this.#result(results)
  }

  async state(key: string | undefined): Promise<unknown> {
    return (await this.#sessions?.load(key))?.state
  }

  #result({ skipped, dead, attempts }: Results): AgentTestResult {
    dead.push(...this.#broken.splice(0))
    const asked = [...this.#questions.values()].map(({ question }) => question)
    const questions = new Set([...this.#questions.values()].map(({ step, position }) => `${step} ${position}`))
    const known = (id: string): boolean => questions.has(id) || this.#tasks.waitedAt(id)
    const sleeps = [...this.#timers.keys()].filter((id) => !known(id)).map(() => "sleep")
    const waiting = [...asked, ...this.#tasks.open.map((task) => task.agent), ...sleeps]
    return { ...sortOutputs(this.#outputs), runs: this.#told.splice(0), skipped, dead, attempts, waiting }
  }

  async #resume(resume: Resume, results: Results, producer = "murmur"): Promise<void> {
    const carrier = seal({ type: inboxType(this.agent.name), data: resume }, { mesh: names.mesh, producer })
    const revived = await this.#revival.revive(resume, { ...carrier, seq: ++this.#seq }, Number.POSITIVE_INFINITY)
    if (revived === undefined) return
    const { intake, journal, storedAtMs } = revived
    const how = { ordered: false, storedAtMs, journal: Promise.resolve(journal) }
    if (intake.kind === "run") await this.#take(intake, intake.event, how, results)
  }

  async #take(
    intake: Intake,
    arrived: MurmurEvent,
    how: Partial<StepInput> & Pick<StepInput, "ordered">,
    results: Results,
  ): Promise<void> {
    if (intake.kind === "skip") results.skipped.push(arrived)
    else if (intake.kind === "dead") {
      results.dead.push({ event: arrived, reason: intake.given.reason, error: intake.given.error })
    } else if (this.#step !== undefined) await this.#try(this.#step, intake.event, how, results)
    else {
      this.#pipelines?.deliver(intake.event)
      results.attempts += 1
    }
  }

  async #try(
    step: StepRunner,
    event: MurmurEvent,
    how: Partial<StepInput> & Pick<StepInput, "ordered">,
    results: Results,
  ): Promise<void> {
    const fresh = { event, storedAtMs: Date.parse(event.time), careful: false, sentBack: false, journal: undefined }
    const input: StepInput = { ...fresh, previousAttempt: undefined, admitted: false, ...how }
    const never = new AbortController().signal
    for (let attempt = 1; ; ) {
      const { previousAttempt } = input
      const outcome = await step.attempt(input, attempt, never)
      input.journal = undefined // read again, as another process would
      if (this.#takeInterrupted()) {
        input.previousAttempt = previousAttempt // that was none
        continue
      }
      results.attempts += 1
      if (outcome.ok) return
      const verdict = judge(outcome.error, attempt, this.agent.retry, 0.5)
      attempt += 1
      if (verdict.next === "retry") continue
      results.dead.push({ event, reason: verdict.reason, error: outcome.error })
      return
    }
  }

  #onAnswer(call: string): void {
    if (this.options.replay !== "always") return
    this.#interrupted = true
    throw new ReplayAgain(`"${call}" is recorded; the step begins again`)
  }

  #takeInterrupted(): boolean {
    const interrupted = this.#interrupted
    this.#interrupted = false
    return interrupted
  }

  #events(): Pick<EventPort, "store" | "ids"> {
    const stored = this.#stored
    return {
      store: async (event) => {
        stored.add(event.id)
        this.#outputs.push(event)
        this.#tasks.given(this.agent.name, event)
      },
      ids: async function* () {
        yield* stored
      },
    }
  }

  #suspension(): SuspensionPort {
    return {
      openInbox: async () => {},
      setTimer: async (timer) => {
        this.#timers.set(`${timer.step} ${timer.position}`, timer)
      },
      clearTimer: async ({ step, position }) => {
        this.#timers.delete(`${step} ${position}`)
        this.#tasks.over(`${step} ${position}`)
      },
      ask: async (question) => {
        this.#questions.set(question.id, question)
      },
      answered: async (id) => {
        const question = this.#questions.get(id)
        this.#questions.delete(id)
        if (question !== undefined) this.#timers.delete(`${question.step} ${question.position}`)
      },
    }
  }
}
