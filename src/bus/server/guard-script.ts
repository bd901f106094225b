/**
 * The guard: a small process between us and the server, as no portable way exists to tie a child's life to its parent's. Its
 * standard input is a pipe of which we hold the other end and never close. When we end, by whatever means, SIGKILL included,
 * the system closes it: the guard stops the server and ends.
 *
 * It starts the server only when told to ("go"), so that its own process id can be put on record before. It speaks in JSON
 * lines on standard output: `{"started":pid}`, `{"failed":reason}`, `{"exited":{"code","signal"}}`.
 *
 * It is a text for `node -e` and not a module: so it runs alike from the sources, from dist and from a bundle.
 * Arguments: the milliseconds that the server gets to end by itself, the program, its arguments.
 */
export const GUARD_SCRIPT = `
"use strict"
const { spawn } = require("node:child_process")
const [stopMs, program, ...args] = process.argv.slice(1)
let server
let stopping = false
const say = (message, then) => process.stdout.write(JSON.stringify(message) + "\\n", then)
const stop = () => {
  if (stopping) return
  stopping = true
  if (server === undefined) process.exit(0)
  server.kill("SIGINT")
  setTimeout(() => server.kill("SIGKILL"), Number(stopMs))
}
const start = () => {
  server = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"], windowsHide: true })
  server.on("error", (error) => say({ failed: error.message }, () => process.exit(1)))
  server.on("spawn", () => say({ started: server.pid }))
  server.on("exit", (code, signal) => say({ exited: { code, signal } }, () => process.exit(0)))
}
process.stdout.on("error", () => {})
process.stdin.once("data", () => stopping || start())
for (const event of ["end", "close", "error"]) process.stdin.on(event, stop)
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop)
process.stdin.resume()
`
