import { type ChildProcess, fork } from "node:child_process"
import { ensureError, MurmurError, RetryableError } from "../../errors.js"
import { causeOfDeath } from "./death.js"
import { decodeError } from "./error-crossing.js"
import { ErrorOutput } from "./error-output.js"
import type { AgentOrigin } from "./origin.js"
import type { HostMessage, WorkerMessage } from "./wire.js"

/** What a worker is made of. */
export interface WorkerOptions {
  readonly agent: string
  readonly origin: AgentOrigin
  /** In MiB. */
  readonly memoryMbMax: number
}

/** Who works with a worker at the moment. */
export interface WorkerListener {
  onMessage(message: WorkerMessage): void
  /** It has ended, whyever. Told once. */
  onDeath(error: Error): void
}

/** Loading a few modules takes half a second; a machine under load may take many times that. */
const START_MS_MAX = 30_000

/** A program that was not built: murmur's own tests. */
const FROM_SOURCE = ["--import", "jiti/register"]

/** What a step needs of its worker. */
export interface WorkerLink {
  /** Who hears what the worker says. What is said while nobody listens is about a step that is over. */
  listener: WorkerListener | undefined
  /** Without effect when the worker is gone: its end is told in another way. */
  post(message: HostMessage): void
}

/**
 * One worker, seen from its node: a process of its own that has the agent's code and runs its handler, one step at a
 * time. It does not keep the node's process alive.
 */
export class WorkerProcess implements WorkerLink {
  listener: WorkerListener | undefined
  #crash: Error | undefined
  #dead = false
  readonly #stderr = new ErrorOutput(process.stderr)

  private constructor(
    private readonly child: ChildProcess,
    private readonly options: WorkerOptions,
  ) {
    child.on("message", (message) => this.#hear(message as WorkerMessage))
    child.on("error", (error) => this.#die(error)) // it could not be started
    // not "exit": what it said last may still be on its way
    child.once("close", (code, signal) => {
      this.#die(causeOfDeath({ ...options, code, signal, crash: this.#crash, report: this.#stderr.report }))
    })
    child.stderr?.on("data", (chunk: Buffer) => this.#stderr.take(chunk))
    child.unref()
    child.channel?.unref()
    ;(child.stderr as { unref?(): void } | null)?.unref?.()
  }

  /**
   * Starts a worker and waits until it has loaded its agent.
   *
   * @param signal ends the attempt
   * @throws RetryableError `AGENT_ISOLATION` when the agent does not load there
   */
  static async start(options: WorkerOptions, signal: AbortSignal): Promise<WorkerProcess> {
    const { agent, origin, memoryMbMax } = options
    const child = fork(origin.program, [agent], {
      execArgv: [`--max-old-space-size=${memoryMbMax}`, ...(origin.program.endsWith(".ts") ? FROM_SOURCE : [])],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    })
    const worker = new WorkerProcess(child, options)
    const { file, fingerprint } = origin
    worker.post({ kind: "load", agent, file, fingerprint, memoryMbMax, nodePid: process.pid })
    await worker.#ready(signal)
    return worker
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  get dead(): boolean {
    return this.#dead
  }

  post(message: HostMessage): void {
    if (this.#dead || !this.child.connected) return
    this.child.send(message, () => {}) // what cannot be sent any more is followed by its end
  }

  /** Kills it. Whatever it does: nothing in a process can hold off SIGKILL. */
  kill(): void {
    this.child.kill("SIGKILL")
  }

  /** Resolves when the process is gone. */
  async ended(): Promise<void> {
    if (this.#dead) return
    await new Promise<void>((resolve) => this.child.once("close", () => resolve()))
  }

  #hear(message: WorkerMessage): void {
    if (message.kind === "crashed") this.#crash = decodeError(message.error)
    else this.listener?.onMessage(message)
  }

  #die(error: Error): void {
    if (this.#dead) return
    this.#dead = true
    this.listener?.onDeath(error)
  }

  async #ready(signal: AbortSignal): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    let onAbort = (): void => {}
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(this.#tooSlow()), START_MS_MAX)
        onAbort = () => reject(new MurmurError("its agent was stopped", { code: "WORKER_START" }))
        signal.addEventListener("abort", onAbort, { once: true })
        if (signal.aborted) onAbort()
        this.listener = {
          onMessage: (message) => {
            if (message.kind === "ready") resolve()
            else if (message.kind === "unfit") reject(decodeError(message.error))
          },
          onDeath: reject,
        }
      })
    } catch (thrown) {
      this.kill()
      await this.ended()
      throw this.#unfit(ensureError(thrown))
    } finally {
      clearTimeout(timer)
      signal.removeEventListener("abort", onAbort)
      this.listener = undefined
    }
  }

  #unfit(cause: Error): Error {
    const { agent, origin } = this.options
    return new RetryableError(`Cannot start a worker for agent "${agent}" from "${origin.file}": ${cause.message}`, {
      code: "AGENT_ISOLATION",
      cause,
      details: { agent, file: origin.file },
    })
  }

  #tooSlow(): Error {
    return new MurmurError(`it did not load its agent within ${START_MS_MAX} ms`, { code: "WORKER_START" })
  }
}
