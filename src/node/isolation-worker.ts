import { encodeError } from "../agents/isolation/error-crossing.js"
import type { WorkerMessage } from "../agents/isolation/wire.js"
import { serve } from "../agents/isolation/worker/serve.js"
import { startWatchdog } from "../agents/isolation/worker/watchdog.js"
import { loadAgain } from "./loader.js"

/**
 * The program of a worker (`isolation: "worker"`): a process that is started by a node, loads one agent as the node
 * does, and runs its steps. It ends with its node, and only by it: what a terminal sends to all processes is for the
 * node to act on.
 */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {})
process.once("disconnect", () => process.exit(0))

const send = (message: WorkerMessage, sent: () => void = () => {}): void => {
  process.send?.(message, undefined, {}, sent)
}

process.on("uncaughtException", (thrown) => {
  send({ kind: "crashed", error: encodeError(thrown) }, () => process.exit(1))
})

serve(
  { send: (message) => send(message), listen: (hear) => void process.on("message", hear) },
  { load: loadAgain, guard: startWatchdog },
)
