import { AsyncLocalStorage } from "node:async_hooks"
import type { MurmurEvent } from "../../bus/event.js"
import { ensureError, RetryableError, TerminalError } from "../../errors.js"
import { ErrorCrossing } from "./error-crossing.js"
import type { HostContext } from "./host-context.js"
import { revivedFields } from "./log-fields.js"
import type { Answer, Call, Harvest, RunMessage, StepFacts, WorkerMessage } from "./wire.js"
import type { WorkerLink } from "./worker-process.js"

/** What became of the worker of a step that is over. */
export type WorkerAfter = "free" | "spent"

/** How long a handler may take to end once its step is over; then its worker is killed. */
const ABORT_GRACE_MS = 250

/** Calls before which a step may be suspended. */
const WAITS: readonly Call["method"][] = ["sleep", "ask", "delegate", "gather"]

let runs = 0

/**
 * One step in a worker, seen from the node: answers what the handler asks of its context, and does at the end what the
 * handler has emitted and recorded.
 */
export class HostedRun {
  readonly #run = ++runs
  readonly #errors = new ErrorCrossing("node")
  /** Functions of calls that run in the worker: who waits for them here. */
  readonly #works = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #settle: { resolve(): void; reject(error: Error): void } = { resolve() {}, reject() {} }
  #grace: NodeJS.Timeout | undefined
  #answers = 0
  /** Whether the handler has slept or asked: only then can its step be suspended. */
  #waits = false
  /** Set while the handler may be about to do something besides waiting. */
  #release: (() => void) | undefined
  #over = false

  /** @param onWorker told once, when nothing of the step is left in the worker, or when it has to be replaced */
  constructor(
    private readonly worker: WorkerLink,
    private readonly ctx: HostContext,
    private readonly onWorker: (after: WorkerAfter) => void,
  ) {}

  /**
   * Runs the handler. Never settles once `ctx.signal` is aborted: whoever aborts a step waits for it no longer.
   *
   * @throws what the handler throws; RetryableError `STEP_MEMORY`, `STEP_EXITED`, `STEP_CRASHED`
   */
  handle(event: MurmurEvent, facts: StepFacts): Promise<void> {
    const inContext = AsyncLocalStorage.snapshot() // what the step's calls begin belongs to its span
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.worker.listener = {
        onMessage: (message) => inContext(() => this.#hear(message)),
        onDeath: (error) => this.#end("spent", () => reject(error)),
      }
      this.ctx.signal.addEventListener("abort", this.#onAbort, { once: true })
      this.#begin(event, facts)
    })
  }

  #begin(event: MurmurEvent, facts: StepFacts): void {
    try {
      this.worker.post({ kind: "begin", run: this.#run, event, facts })
    } catch (cause) {
      const error = new TerminalError(
        `Cannot hand event ${event.id} to a worker: the event or the state holds what cannot be copied (${ensureError(cause).message})`,
        { code: "AGENT_ISOLATION", cause },
      )
      this.#end("free", () => this.#settle.reject(error))
    }
  }

  readonly #onAbort = (): void => {
    this.#settle = { resolve() {}, reject() {} }
    this.#grace = setTimeout(() => this.#end("spent", () => {}), ABORT_GRACE_MS)
    this.worker.post({ kind: "abort", run: this.#run, error: this.#errors.encode(this.ctx.signal.reason) })
  }

  #hear(message: WorkerMessage): void {
    if ("run" in message && message.run === this.#run) this.#take(message)
  }

  #take(message: RunMessage): void {
    switch (message.kind) {
      case "call":
        void this.#answer(message.call, message.what)
        break
      case "worked":
        this.#onWorked(message.call, message.answer)
        break
      case "idle":
        if (message.answers === this.#answers) this.#letGo()
        break
      case "log":
        this.ctx.log[message.level](revivedFields(message.fields), message.message)
        break
      case "done":
        this.#end("free", () => this.#reap(message.harvest))
        break
      case "failed":
        this.#end("free", () => this.#settle.reject(this.#errors.decode(message.error)))
        break
      case "left":
        this.#end("free", () => {})
        break
    }
  }

  async #answer(call: number, what: Call): Promise<void> {
    let answer: Answer
    if (WAITS.includes(what.method)) this.#hold()
    try {
      answer = { ok: true, value: await this.ctx.call(what, (input) => this.#work(call, input)) }
    } catch (thrown) {
      answer = { ok: false, error: this.#errors.encode(thrown) }
    }
    if (this.#over) return
    this.#answers += 1
    if (this.#waits) this.#hold() // now the handler goes on, until it says that it is idle again
    this.worker.post({ kind: "answer", run: this.#run, call, answer })
  }

  /** Keeps the step from being suspended: it takes a while to hear what the handler does beside its waits. */
  #hold(): void {
    this.#waits = true
    this.#release ??= this.ctx.hold()
  }

  #letGo(): void {
    this.#release?.()
    this.#release = undefined
  }

  /** Has the worker do the function of one of its calls. */
  #work(call: number, input: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#works.set(call, { resolve, reject })
      this.worker.post({ kind: "work", run: this.#run, call, input })
    })
  }

  #onWorked(call: number, answer: Answer): void {
    const work = this.#works.get(call)
    this.#works.delete(call)
    if (answer.ok) work?.resolve(answer.value)
    else work?.reject(this.#errors.decode(answer.error))
  }

  #reap(harvest: string): void {
    if (this.ctx.signal.aborted) return
    try {
      const { drafts, entries, replies } = JSON.parse(harvest) as Harvest
      for (const { name, data } of entries) this.ctx.record(name, data)
      for (const draft of drafts) this.ctx.emit(draft)
      for (const reply of replies) this.ctx.reply(reply)
      this.#settle.resolve()
    } catch (thrown) {
      this.#settle.reject(ensureError(thrown))
    }
  }

  #end(after: WorkerAfter, finish: () => void): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#grace)
    this.#letGo()
    for (const work of this.#works.values()) work.reject(this.#ended())
    this.#works.clear()
    this.ctx.signal.removeEventListener("abort", this.#onAbort)
    this.worker.listener = undefined
    this.onWorker(after)
    finish()
  }

  #ended(): Error {
    return new RetryableError(`A step of "${this.ctx.agent}" ended before what it had begun`, { code: "STEP_ENDED" })
  }
}
