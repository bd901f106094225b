import type { ErrorCrossing } from "../error-crossing.js"
import type { Answer, Call, WorkerMessage } from "../wire.js"

/** A call that the node has not answered yet. */
interface Pending {
  readonly what: Call
  readonly work: (input: unknown) => unknown
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Calls after which a step may be suspended: their promises then never settle. */
const WAITS: readonly Call["method"][] = ["sleep", "ask", "delegate", "gather"]

/** What the handler of one step has asked its node, and waits for. */
export class RemoteCalls {
  readonly #pending = new Map<number, Pending>()
  #next = 0
  #answers = 0

  constructor(
    private readonly run: number,
    private readonly send: (message: WorkerMessage) => void,
    private readonly errors: ErrorCrossing,
  ) {}

  /** Whether the handler has begun to wait for something that may take days. */
  get waits(): boolean {
    return [...this.#pending.values()].some(({ what }) => WAITS.includes(what.method))
  }

  /**
   * Has the node make a call.
   *
   * @param work the function of the call, which runs here when the node says so
   */
  make(what: Call, work: (input: unknown) => unknown = () => undefined): Promise<unknown> {
    const call = this.#next++
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(call, { what, work, resolve, reject })
    })
    this.send({ kind: "call", run: this.run, call, what })
    this.sayWhenIdle()
    return answered
  }

  answer(call: number, answer: Answer): void {
    const pending = this.#pending.get(call)
    this.#pending.delete(call)
    this.#answers += 1
    if (answer.ok) pending?.resolve(answer.value)
    else pending?.reject(this.errors.decode(answer.error))
    this.sayWhenIdle()
  }

  /** Does the function of a call, and tells the node how it went. */
  async work(call: number, input: unknown): Promise<void> {
    let answer: Answer
    try {
      answer = { ok: true, value: await this.#pending.get(call)?.work(input) }
    } catch (thrown) {
      answer = { ok: false, error: this.errors.encode(thrown) }
    }
    this.send({ kind: "worked", run: this.run, call, answer })
  }

  /** The step is over: who waits here for the node waits in vain. */
  abandon(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }

  /** When the handler has done what it can do now, and all that is left is a wait, the node may suspend the step. */
  sayWhenIdle(): void {
    if (!this.waits) return
    setImmediate(() => {
      const others = [...this.#pending.values()].some(({ what }) => !WAITS.includes(what.method))
      if (this.waits && !others) this.send({ kind: "idle", run: this.run, answers: this.#answers })
    })
  }
}
