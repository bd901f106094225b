import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"

/** What the child says; see local-server-child.ts. */
export interface ChildSays {
  readonly role?: "owner" | "joined"
  readonly url?: string
  readonly pid?: number
  readonly guardPid?: number
  readonly exit?: { reason: string; restarting: boolean }
  readonly failed?: string
  readonly message?: string
}

/** A process that runs or has joined a local server. */
export class LocalServerProcess {
  private readonly child: ChildProcess
  readonly said: ChildSays[] = []
  private errors = ""

  constructor(dir: string, bin: string, port = 0) {
    const program = fileURLToPath(new URL("./local-server-child.ts", import.meta.url))
    const loader = new URL("../../node_modules/jiti/lib/jiti-register.mjs", import.meta.url).href
    const args = ["--import", loader, program, dir, String(port)]
    const env = { ...process.env, NATS_SERVER_BIN: bin, NODE_OPTIONS: "" }
    this.child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env })
    let rest = ""
    this.child.stdout?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) this.said.push(JSON.parse(line))
    })
    this.child.stderr?.on("data", (chunk: Buffer) => {
      this.errors += chunk.toString()
    })
  }

  get processId(): number {
    return this.child.pid ?? -1
  }

  /** The first thing it said that passes. */
  hears(what: string, test: (said: ChildSays) => boolean, withinMs = 20_000): Promise<ChildSays> {
    const look = (): ChildSays => {
      const found = this.said.find(test)
      if (found !== undefined) return found
      throw new Error(`Waited for ${what}; it said ${JSON.stringify(this.said)} ${this.errors}`)
    }
    return vi.waitFor(look, { timeout: withinMs, interval: 20 })
  }

  /** Its first line: which part it has. */
  started(): Promise<ChildSays> {
    return this.hears("the child to start", (said) => said.role !== undefined || said.failed !== undefined)
  }

  /** Ends it and waits until it is gone. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = once(this.child, "exit")
    this.child.kill(signal)
    await gone
  }
}
