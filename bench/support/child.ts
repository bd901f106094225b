import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/** A process of the benchmark. It is told its task in its first message and answers with messages. */
export interface Child {
  readonly pid: number
  /** The next message. @throws Error when the process ends first, or after `timeoutMs` */
  next<T>(timeoutMs?: number): Promise<T>
  send(message: object): void
  /** Ends it: asked first, killed after five seconds. */
  stop(): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** Starts one of the programs in `children/`. */
export function startChild(
  program: "loop" | "shard" | "otlp-sink" | "memory" | "bullmq" | "fold" | "worker" | "model-server" | "model-caller",
  task: object,
  options: { nodeOptions?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Child {
  const file = fileURLToPath(new URL(`../children/${program}.js`, import.meta.url))
  const child = fork(file, [], {
    execArgv: ["--enable-source-maps=false", ...(options.nodeOptions ?? [])].filter((option) => option !== ""),
    env: { ...withoutTelemetry(process.env), ...options.env },
  })
  running.add(child)
  const arrived: unknown[] = []
  let wake: (() => void) | undefined
  let ended: Error | undefined
  child.on("message", (message) => {
    arrived.push(message)
    wake?.()
  })
  child.once("exit", (code, signal) => {
    running.delete(child)
    ended = new Error(`the benchmark's process "${program}" ended early (${signal ?? code})`)
    wake?.()
  })
  child.send(task)

  async function next<T>(timeoutMs = 60_000): Promise<T> {
    const deadline = Date.now() + timeoutMs
    while (arrived.length === 0) {
      if (ended !== undefined) throw ended
      if (Date.now() > deadline) throw new Error(`the benchmark's process "${program}" was silent for ${timeoutMs} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now() + 1)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return arrived.shift() as T
  }

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    if (child.connected) child.send({ stop: true })
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000)
    await gone
    clearTimeout(timer)
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  }

  return { pid: child.pid ?? -1, kill, next, send: (message) => child.send(message), stop }
}

/** Telemetry is on only where a measure turns it on. */
function withoutTelemetry(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("OTEL_")))
}
