import { inboxType } from "../agents/host.js"
import type { Question, SuspensionPort, Timer } from "../agents/suspension.js"
import type { Bus } from "../bus/bus.js"
import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import type { DueStep } from "../bus/timers.js"
import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { ANSWERED } from "./answers.js"
import type { MeshBuckets } from "./buckets.js"
import { openInbox } from "./inbox.js"
import { QuestionRecord } from "./questions.js"

/** Published when a step asks a person. */
export const ASKED = "murmur.question.asked"

/** Suspended steps over the bus: timers of the server, the agents' inboxes, the list of open questions. */
export class Suspensions implements SuspensionPort {
  readonly #opened = new Map<string, Promise<void>>()
  readonly #followed = new Set<string>()

  constructor(
    private readonly bus: Bus,
    private readonly buckets: Pick<MeshBuckets, "settings" | "questions">,
    private readonly log: Log,
    /** Of the agents that this node hosts. */
    private readonly partitionsOf: (agent: string) => 1 | 8 | 64,
    private readonly stopping: AbortSignal,
  ) {}

  openInbox(agent: string): Promise<void> {
    let open = this.#opened.get(agent)
    if (open === undefined) {
      open = openInbox(this.bus, this.buckets.settings, { name: agent, partitions: this.partitionsOf(agent) })
      open.catch(() => this.#opened.delete(agent)) // tried again by the next step that needs it
      this.#opened.set(agent, open)
    }
    return open
  }

  setTimer({ agent, key, step, position, at }: Timer): Promise<void> {
    return this.bus.timers.set(agent, { step, position, ...(key !== undefined && { key }) }, at)
  }

  /** Nobody waits for it. */
  async clearTimer({ agent, step, position }: Omit<Timer, "at">): Promise<void> {
    this.bus.timers.clear(agent, { step, position }).catch((thrown) => {
      this.log.debug({ agent, step, error: ensureError(thrown) }, "cannot take a timer back; it will fire in vain")
    })
  }

  async ask(question: Question, event: MurmurEvent): Promise<void> {
    const { questions } = this.buckets
    if ((await questions.get(question.id)) !== undefined) return
    const { key, ...facts } = question
    const draft = { id: derivedId("asked", question.id), type: ASKED, key, data: facts }
    await this.bus.publish(draft, { producer: "murmur", cause: event, trace: event.trace })
    await questions.put(question.id, QuestionRecord.parse({ ...question, correlationid: event.correlationid }))
  }

  async answered(questionId: string, { answer, by }: { answer: string; by: string | undefined }): Promise<void> {
    const { questions } = this.buckets
    const stored = QuestionRecord.safeParse((await questions.get(questionId))?.value).data
    if (stored === undefined) return
    const { id, agent, step, question, key } = stored
    const data = { id, agent, step, question, answer, by: by ?? null, byDefault: by === undefined }
    const draft = { id: derivedId("answered", id), type: ANSWERED, key, data }
    await this.bus.publish(draft, { producer: "murmur", trust: "internal" })
    await questions.delete(id)
  }

  /** Hands what is due for an agent to its inbox, as one of the nodes that host it. */
  follow(agent: string): void {
    if (this.#followed.has(agent)) return
    this.#followed.add(agent)
    this.bus.timers
      .consume(agent, (due) => this.#wake(agent, due), this.stopping)
      .catch((thrown) => {
        this.#followed.delete(agent)
        this.log.error({ agent, error: ensureError(thrown) }, "cannot follow the timers of an agent")
      })
  }

  async #wake(agent: string, { id, step, position, key }: DueStep): Promise<void> {
    const data = { kind: "wake", step, position }
    const draft = { id: derivedId("wake", id), type: inboxType(agent), key, data }
    await this.bus.publish(draft, { producer: "murmur", trust: "internal" })
  }
}
