import type { MurmurEvent } from "../../../bus/event.js"
import type { Log } from "../../../telemetry/ports.js"
import type { AgentDefinition } from "../../define-agent.js"
import { type EncodedError, ErrorCrossing } from "../error-crossing.js"
import { carriedFields } from "../log-fields.js"
import type { Answer, StepFacts, WorkerMessage } from "../wire.js"
import { RemoteCalls } from "./remote-calls.js"
import { RemoteContext } from "./remote-context.js"

export type HandlerAgent = AgentDefinition & { behaviour: { kind: "handle" } }

/** One step in a worker: runs the handler, and tells the node how it ended, once. */
export class RemoteRun {
  readonly #errors = new ErrorCrossing("worker")
  readonly #abort = new AbortController()
  readonly #calls: RemoteCalls
  #over = false

  constructor(
    readonly run: number,
    private readonly agent: HandlerAgent,
    private readonly send: (message: WorkerMessage) => void,
  ) {
    this.#calls = new RemoteCalls(run, send, this.#errors)
  }

  async handle(event: MurmurEvent, facts: StepFacts): Promise<void> {
    const { agent } = this
    const parts = { agent, event, facts, signal: this.#abort.signal, log: this.#log(), calls: this.#calls }
    const ctx = new RemoteContext(parts)
    try {
      await agent.behaviour.handle(event, ctx)
      this.#end({ kind: "done", run: this.run, harvest: JSON.stringify(ctx.end()) })
    } catch (thrown) {
      ctx.end()
      this.#end({ kind: "failed", run: this.run, error: this.#errors.encode(thrown) })
    }
  }

  answer(call: number, answer: Answer): void {
    if (!this.#over) this.#calls.answer(call, answer)
  }

  work(call: number, input: unknown): void {
    void this.#calls.work(call, input)
  }

  /**
   * The node waits no longer. A handler that sleeps or asks is left where it stands, as it is in the node, since it
   * never goes on; any other is woken, so that it can end.
   */
  abort(encoded: EncodedError): void {
    const error = this.#errors.decode(encoded)
    const stands = this.#calls.waits || encoded.code === "STEP_SUSPENDED"
    if (stands) this.#end({ kind: "left", run: this.run })
    this.#abort.abort(error)
    if (!stands) this.#calls.abandon(error)
  }

  #end(message: WorkerMessage): void {
    if (this.#over) return
    this.#over = true
    this.send(message)
  }

  #log(): Log {
    const line =
      (level: keyof Log) =>
      (fields: object, message: string): void =>
        this.send({ kind: "log", run: this.run, level, fields: carriedFields(fields), message })
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") }
  }
}
