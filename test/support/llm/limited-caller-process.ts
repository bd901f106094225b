import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { CallerOptions } from "./limited-caller.js"

/** A process that sends as much as shared limits allow. */
export interface CallerProcess {
  /** SIGKILL; resolves when it is gone. May be called twice. */
  kill9(): Promise<void>
}

const PROGRAM = fileURLToPath(new URL("./limited-caller-child.ts", import.meta.url))
const LOADER = new URL("../../../node_modules/jiti/lib/jiti-register.mjs", import.meta.url).href

/** Starts it. @returns when it has begun to send */
export async function startCallerProcess(options: CallerOptions, atATime: number): Promise<CallerProcess> {
  const args = ["--import", LOADER, PROGRAM, JSON.stringify(options), String(atATime)]
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "" },
  })
  const gone = once(child, "exit")
  let errors = ""
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const begun = await Promise.race([once(child.stdout, "data").then(() => true), gone.then(() => false)])
  if (!begun) throw new Error(`The caller did not start: ${errors}`)
  return {
    kill9: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
      await gone
    },
  }
}
