import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { MurmurError } from "../../errors.js"
import { BILL_VARIABLE } from "./bill.js"

/** How a node of the demonstration is started. */
export interface NodeSetting {
  readonly natsUrl: string
  readonly mesh: string
  /** Folder for the bill and the logs. */
  readonly folder: string
}

const MAIN = fileURLToPath(new URL("../../cli/main.js", import.meta.url))
const AGENT = fileURLToPath(new URL("./demo-agent.js", import.meta.url))
const READY_MS = 30_000
const LEAVE_MS = 30_000
const SAID_LINES = 3
const WAKER_SLACK_MS = 500

/** The bill of a run. */
export const billIn = (folder: string): string => join(folder, "bill.ndjson")

/** `murmur up` with the demo agent, as a process of its own. */
export class NodeProcess {
  /** `still`: stopped by SIGSTOP. */
  #mode: "starting" | "up" | "still" | "gone" = "starting"
  readonly #gone: Promise<void>
  #waker: ChildProcess | undefined
  #wasUp = false

  private constructor(
    readonly id: string,
    private readonly child: ChildProcess,
    private readonly logFile: string,
  ) {
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        this.#mode = "gone"
        resolve()
      }
      child.once("exit", end)
      child.once("error", end) // it could not be started at all
    })
  }

  /** Starts one and waits until it is ready. @throws MurmurError `CHAOS_NODE` when it does not become ready */
  static async start(id: string, setting: NodeSetting, onSpawn: (node: NodeProcess) => void): Promise<NodeProcess> {
    const logFile = join(setting.folder, `${id}.log`)
    const log = openSync(logFile, "a", 0o600)
    const args = ["up", AGENT, "--nats", setting.natsUrl, "--mesh", setting.mesh, "--no-http", "--json"]
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: nodeEnv(id, setting.folder),
      stdio: ["ignore", "pipe", log],
      windowsHide: true,
    })
    closeSync(log)
    const node = new NodeProcess(id, child, logFile)
    onSpawn(node)
    await node.#becomeReady()
    return node
  }

  get pid(): number {
    return this.child.pid ?? -1
  }

  get up(): boolean {
    return this.#mode === "up"
  }

  /** Whether it ever was ready. */
  get wasUp(): boolean {
    return this.#wasUp
  }

  /** How it ended; resolves when it has. */
  async ended(): Promise<string> {
    await this.#gone
    return this.child.signalCode ?? `exit code ${this.child.exitCode}`
  }

  /** SIGKILL, at once. */
  kill(): void {
    if (this.#mode !== "gone") this.child.kill("SIGKILL")
  }

  /**
   * SIGSTOP: its connections stay open, and it does nothing. `wake` ends that; should this process be killed before, it
   * wakes up by itself after `forMs` and a little, so that nothing stands still for ever.
   */
  stop(forMs: number): void {
    this.#waker = startWaker(this.pid, forMs + WAKER_SLACK_MS)
    this.#mode = "still"
    this.child.kill("SIGSTOP")
  }

  /** SIGCONT. */
  wake(): void {
    this.#waker?.kill()
    if (this.#mode !== "still") return
    this.#mode = "up"
    this.child.kill("SIGCONT")
  }

  /** SIGTERM; kills it when it does not leave in time. @returns how it ended */
  async leave(): Promise<string> {
    this.child.kill("SIGTERM")
    const timer = setTimeout(() => this.kill(), LEAVE_MS)
    try {
      return await this.ended()
    } finally {
      clearTimeout(timer)
    }
  }

  async #becomeReady(): Promise<void> {
    const { stdout } = this.child
    if (stdout === null) return
    const lines = createInterface({ input: stdout })
    const timer = setTimeout(() => this.kill(), READY_MS)
    const ready = await Promise.race([once(lines, "line").then(() => true), this.#gone.then(() => false)])
    clearTimeout(timer)
    if (!ready) {
      const said = readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-SAID_LINES).join("\n")
      throw new MurmurError(`Node "${this.id}" did not become ready (${await this.ended()}). It said: ${said}`, {
        code: "CHAOS_NODE",
      })
    }
    this.#wasUp = true
    if (this.#mode === "starting") this.#mode = "up"
  }
}

/** What would lead the node to another mesh, or switch something on, is not for it. */
function nodeEnv(id: string, folder: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(NATS_|MURMUR_|OTEL_)/.test(name))
  return {
    ...Object.fromEntries(own),
    ...{ TMPDIR: folder, TMP: folder, TEMP: folder }, // compiled code is cached there, and goes with the run
    MURMUR_NODE_ID: id,
    MURMUR_LOG_LEVEL: "warn",
    [BILL_VARIABLE]: billIn(folder),
  }
}

/** A process that outlives this one, and does nothing but wake another. */
function startWaker(pid: number, afterMs: number): ChildProcess {
  const script = `setTimeout(() => { try { process.kill(${pid}, "SIGCONT") } catch {} }, ${afterMs})`
  const waker = spawn(process.execPath, ["-e", script], { env: {}, stdio: "ignore", detached: true, windowsHide: true })
  waker.unref()
  waker.on("error", () => {}) // it is a precaution only
  return waker
}
