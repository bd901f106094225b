import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { testBinary } from "./binary.js"

export interface TestServerOptions {
  /** `always`, as murmur ships it, or the server's default, which is faster. Default `default`. */
  readonly sync?: "always" | "default"
  /** How much its streams may hold, such as `200MB`. Default: what the disk has. */
  readonly storage?: string
  /** More lines for the server's configuration, such as `authorization { ... }`. */
  readonly config?: string
}

/** A real nats-server with JetStream and a store of its own, on a port that stays the same over restarts. */
export interface TestServer {
  readonly url: string
  readonly port: number
  readonly storeDir: string
  /** Of the running process; changes at a restart. */
  readonly pid: number
  /** Where the server answers `/varz`, `/jsz`, `/connz`. Changes at a restart. */
  readonly monitorUrl: string
  /** What the server has logged so far, all runs together. */
  log(): string
  /** Ends it gracefully and removes its store. May be called twice. */
  stop(): Promise<void>
  /** SIGKILL, as a crash would; resolves when the process is gone. */
  kill9(): Promise<void>
  /** Starts it again (after a graceful end if it runs) on the same port and store. */
  restart(): Promise<void>
  /** SIGSTOP, waited for: connections stay open and nobody answers any more. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

const READY_MS = 15_000
const STOP_MS = 10_000

/** Starts a nats-server for a test. Whoever starts it stops it; the end of the test process takes it along in any case. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), "murmur-nats-"))
  const remove = (): void => rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  for (let attempt = 1; ; attempt++) {
    const instance = new Instance(dir, freePortGuess(), options)
    try {
      await instance.start()
      return instance.handle(remove)
    } catch (error) {
      if (instance.portTaken() && attempt < 20) continue
      remove()
      throw error
    }
  }
}

/**
 * A port that is probably free. It lies below the range from which systems take the ports of outgoing connections:
 * otherwise a client that reconnects to a stopped server can come to occupy that server's port itself.
 */
function freePortGuess(): number {
  return 10_000 + Math.floor(Math.random() * 22_000)
}

/** What is left of them goes with this process. One listener for all: tests side by side have many. */
const running = new Set<ChildProcess>()
const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL")
}

class Instance {
  private child: ChildProcess | undefined
  private readonly logFile: string
  private readonly configFile: string
  private readonly storeDir: string

  constructor(
    private readonly dir: string,
    private readonly port: number,
    options: TestServerOptions,
  ) {
    this.logFile = join(dir, `server-${port}.log`)
    this.configFile = join(dir, `server-${port}.conf`)
    this.storeDir = join(dir, "store")
    mkdirSync(join(dir, "ports"), { recursive: true })
    const sync = options.sync === "always" ? ", sync_interval: always" : ""
    const room = options.storage === undefined ? "" : `, max_file: ${options.storage}`
    const lines = [
      `listen: "127.0.0.1:${port}"`,
      `http: "127.0.0.1:-1"`,
      `ports_file_dir: ${JSON.stringify(join(dir, "ports"))}`,
      `log_file: ${JSON.stringify(this.logFile)}`,
      "max_payload: 1MB",
      `jetstream { store_dir: ${JSON.stringify(this.storeDir)}${sync}${room} }`,
      options.config ?? "",
    ]
    writeFileSync(this.configFile, `${lines.join("\n")}\n`)
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : ""
  }

  portTaken(): boolean {
    return /Error listening on port/.test(this.log())
  }

  async start(): Promise<void> {
    const child = spawn(testBinary(), ["-c", this.configFile], { stdio: "ignore" })
    this.child = child
    const spawnError = new Promise<Error>((resolve) => child.once("error", resolve))
    if (running.size === 0) process.on("exit", killAll)
    running.add(child)
    const deadline = Date.now() + READY_MS
    while (!(await this.answers())) {
      const failed = await Promise.race([spawnError, delay(20)])
      if (failed instanceof Error) throw failed
      if (child.exitCode !== null || Date.now() > deadline) {
        await this.end("SIGKILL")
        throw new Error(
          `The test's nats-server did not become ready on port ${this.port}:\n${this.log().slice(-2_000)}`,
        )
      }
    }
  }

  /** Ready = the ports file of this very process is there and its port talks NATS. */
  private async answers(): Promise<boolean> {
    return this.ports() !== undefined && (await saysInfo(this.port))
  }

  private ports(): { monitoring: string[] } | undefined {
    try {
      return JSON.parse(readFileSync(join(this.dir, "ports", `nats-server_${this.child?.pid}.ports`), "utf8"))
    } catch {
      return undefined // Not written yet, or half written.
    }
  }

  private async end(signal: "SIGINT" | "SIGKILL"): Promise<void> {
    const { child } = this
    if (child !== undefined) running.delete(child)
    if (running.size === 0) process.off("exit", killAll)
    if (child === undefined || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    // A stopped process (see pause) would not act on a signal other than SIGKILL.
    if (signal === "SIGINT") child.kill("SIGCONT")
    child.kill(signal)
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
    await gone
    clearTimeout(timer)
  }

  /** The kernel stops threads one after the other, and on a busy machine one of them may answer a little longer. */
  private pause(): void {
    const pid = this.child?.pid
    if (pid === undefined) return
    process.kill(pid, "SIGSTOP")
    const deadline = Date.now() + STOP_MS
    while (!standsStill(pid) && Date.now() < deadline) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  }

  private async restart(): Promise<void> {
    await this.end("SIGINT")
    await this.start()
  }

  handle(remove: () => void): TestServer {
    const self = this
    return {
      url: `nats://127.0.0.1:${this.port}`,
      port: this.port,
      storeDir: this.storeDir,
      get pid() {
        return self.child?.pid ?? -1
      },
      get monitorUrl() {
        return self.ports()?.monitoring[0] ?? ""
      },
      log: () => this.log(),
      stop: async () => {
        await this.end("SIGINT")
        remove()
      },
      kill9: () => this.end("SIGKILL"),
      restart: () => this.restart(),
      pause: () => this.pause(),
      resume: () => void this.child?.kill("SIGCONT"),
    }
  }
}

/** Whether every thread of a process stands still. Without `/proc` nobody can tell: taken as yes. */
function standsStill(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  return !existsSync(tasks) || readdirSync(tasks).every((task) => "TX".includes(threadState(join(tasks, task))))
}

/** `T` stopped, `R` running, `S` asleep ...; `X` for a thread that has ended meanwhile. */
function threadState(task: string): string {
  try {
    const stat = readFileSync(join(task, "stat"), "utf8")
    return stat.charAt(stat.lastIndexOf(")") + 2)
  } catch {
    return "X"
  }
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Whether a NATS server greets on this port. */
function saysInfo(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port })
    const done = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => done(false))
    socket.once("data", (chunk) => done(chunk.toString().startsWith("INFO ")))
    socket.once("error", () => done(false))
    socket.once("close", () => done(false))
  })
}
