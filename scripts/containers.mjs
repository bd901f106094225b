// Gives a Docker engine to a command, and takes it away again:
//   node scripts/containers.mjs                                the tests with containers
//   node scripts/containers.mjs npx vitest run --project containers image
//   node scripts/containers.mjs docker compose -f deploy/compose.yaml config
// The engine is the one that this machine offers ("docker info" answers), else a private one: on Linux, as root, where
// dockerd is installed. Images are the official ones, or, where no registry answers, made of this machine's own
// binaries. Without an engine the command runs all the same: the tests then skip themselves.
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { findEngine } from "./containers/engine.mjs"
import { prepareImages } from "./containers/images.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const say = (text) => process.stderr.write(`containers: ${text}\n`)

/** The tests with containers, one file after the other: they share an engine, and most of them a machine's two cores. */
const TESTS = [
  process.execPath,
  join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs"),
  ...["run", "--project", "containers", "--no-file-parallelism"],
]

process.exitCode = await main(process.argv.length > 2 ? process.argv.slice(2) : TESTS)

async function main(command) {
  let engine
  const stopping = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stopping.abort(signal))
  try {
    engine = await findEngine()
    if (engine.reason !== undefined) say(`skipped, ${engine.reason}`)
    const env = { ...process.env, ...engine.env, ...(await imagesFor(engine)) }
    if (stopping.signal.aborted) return 1
    return await run(command, env, stopping.signal)
  } finally {
    await engine?.stop()
  }
}

/** What the tests are told, see test/containers/support/engine.ts. */
async function imagesFor(engine) {
  if (engine.reason !== undefined) return {}
  try {
    const images = await prepareImages(engine)
    say(`${engine.what}; ${images.what}`)
    return {
      MURMUR_CONTAINERS: engine.kind,
      MURMUR_CONTAINERS_NODE_IMAGE: images.node,
      MURMUR_CONTAINERS_NATS_IMAGE: images.nats,
      // a private engine changes no firewall rules, so only the host's own network leads out of it
      MURMUR_CONTAINERS_BUILD_NETWORK: engine.kind === "private" ? "host" : "default",
    }
  } catch (error) {
    say(`skipped, ${error.message}`)
    return {}
  }
}

/** Runs the command to its end; a signal goes to it, and its engine is taken away when it has ended. */
function run([name, ...args], env, signal) {
  const bin = join(root, "node_modules", ".bin")
  const path = `${bin}${delimiter}${env.PATH ?? ""}`
  return new Promise((resolve) => {
    const child = spawn(name, args, { stdio: "inherit", env: { ...env, PATH: path } })
    signal.addEventListener("abort", () => child.kill(signal.reason), { once: true })
    child.on("error", (error) => {
      say(`cannot run "${name}": ${error.message}`)
      resolve(1)
    })
    child.on("close", (code) => resolve(code ?? 1))
  })
}
