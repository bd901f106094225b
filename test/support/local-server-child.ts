// A process of its own that starts or joins a local server, for tests that kill it. Says in JSON lines what happens:
// {"role","url","pid","guardPid"} at the start, {"exit":...} and {"role":...} when they change; SIGTERM stops it in order.
import { startLocalServer } from "../../src/bus/server/index.js"
import { readState } from "../../src/bus/server/running.js"

const [dir = "", port = "0"] = process.argv.slice(2)
const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
try {
  const server = await startLocalServer({ dir, port: Number(port) })
  let role = server.role
  const facts = (): object => ({ role, url: server.url, pid: server.pid, guardPid: readState(dir)?.guardPid })
  say(facts())
  server.onExit((exit) => say({ exit }))
  const watch = setInterval(() => {
    if (server.role === role) return
    role = server.role
    say(facts())
  }, 20)
  process.once("SIGTERM", async () => {
    await server.stop()
    clearInterval(watch)
  })
} catch (error) {
  say({ failed: (error as { code?: string }).code, message: (error as Error).message })
}
