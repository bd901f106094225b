import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { ReceivedCall } from "./fake-protocol.js"

/** The OpenAI server in a process of its own. */
export interface OpenAiProcess {
  /** Without the version: the `baseURL` is `${url}/v1`. */
  readonly url: string
  /** What it was asked so far. */
  calls(): Promise<readonly ReceivedCall[]>
  stop(): Promise<void>
}

/**
 * Starts it.
 *
 * @param handlerModule path of a module whose default export is a `FakeHandler`
 */
export async function startOpenAiProcess(handlerModule?: string): Promise<OpenAiProcess> {
  const program = fileURLToPath(new URL("./openai-process.ts", import.meta.url))
  const loader = new URL("../../../node_modules/jiti/lib/jiti-register.mjs", import.meta.url).href
  const args = ["--import", loader, program, ...(handlerModule === undefined ? [] : [handlerModule])]
  const env = { ...process.env, NODE_OPTIONS: "" }
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env })
  const gone = once(child, "exit")
  const lines = createInterface({ input: child.stdout })
  const first = await Promise.race([once(lines, "line").then(([line]) => String(line)), gone.then(() => undefined)])
  if (first === undefined) throw new Error("The OpenAI server did not start; see what it wrote")
  const { url } = JSON.parse(first) as { url: string }
  return {
    url,
    async calls() {
      const answer = await fetch(`${url}/__calls`)
      return (await answer.json()) as ReceivedCall[]
    },
    async stop() {
      child.kill("SIGTERM")
      await gone
    },
  }
}
