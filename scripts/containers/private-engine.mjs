import { spawn } from "node:child_process"
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { composePlugin } from "./compose-plugin.mjs"
import { must, run } from "./run.mjs"

const PREFIX = "murmur-docker-"
const READY_MS = 30_000
const STOP_MS = 20_000

/**
 * Starts an engine with a folder of its own for sockets, images and containers, and with a bridge of its own. It changes
 * no firewall rule: containers reach one another, their published ports are served by a proxy process, and only builds
 * on the host's network reach the outside.
 *
 * @param {string} dockerd its program
 * @returns {Promise<import("./engine.mjs").Engine>}
 */
export async function startPrivateEngine(dockerd) {
  await removeLeftovers()
  const folder = mkdtempSync(join(tmpdir(), PREFIX))
  writeFileSync(join(folder, "owner"), String(process.pid))
  const env = environment(folder, dockerd)
  const bridge = await addBridge()
  const daemon = start(dockerd, folder, [...bridge.options, "--host", env.DOCKER_HOST])
  const gone = new Promise((resolve) => daemon.once("exit", resolve))
  daemon.once("error", () => {})
  const stop = async () => {
    await removeAll(env)
    daemon.kill("SIGTERM")
    await within(STOP_MS, gone)
    daemon.kill("SIGKILL")
    await bridge.remove()
    await removeFolder(folder)
  }
  try {
    await ready(daemon, folder, env)
    await offerCompose(env)
    const version = await must("docker", ["version", "--format", "{{.Server.Version}}"], { env: whole(env) })
    return { kind: "private", what: `a private engine (${version.trim()})`, env, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const whole = (env) => ({ ...process.env, ...env })

function environment(folder, dockerd) {
  // the client that was installed with this daemon goes before others
  const beside = join(dirname(dirname(dockerd)), "bin")
  return {
    DOCKER_HOST: `unix://${folder}/docker.sock`,
    DOCKER_CONFIG: join(folder, "config"),
    PATH: `${existsSync(join(beside, "docker")) ? `${beside}${delimiter}` : ""}${process.env.PATH ?? ""}`,
    // the engine takes all containers along when it ends: nothing has to watch over them
    TESTCONTAINERS_RYUK_DISABLED: "true",
  }
}

/** Two engines on one bridge would give two containers the same address. Without the tool there is one bridge for all. */
async function addBridge() {
  const name = `murmur${process.pid}`
  const { code } = await run("ip", ["link", "add", "name", name, "type", "bridge"])
  if (code !== 0) return { options: [], remove: async () => {} }
  return { options: ["--bridge", name], remove: () => run("ip", ["link", "del", name]) }
}

function start(dockerd, folder, more) {
  const options = ["--iptables=false", "--ip6tables=false", ...more]
  for (const [option, name] of [
    ["--data-root", "data"],
    ["--exec-root", "exec"],
    ["--pidfile", "dockerd.pid"],
  ]) {
    options.push(option, join(folder, name))
  }
  // Even when this script is killed and can clean nothing up, its engine ends: the system tells it.
  const command = existsSync("/usr/bin/setpriv")
    ? ["/usr/bin/setpriv", "--pdeathsig", "TERM", dockerd, ...options]
    : [dockerd, ...options]
  const log = openSync(join(folder, "dockerd.log"), "a")
  try {
    // a group of its own: Ctrl-C is for the command, which still needs its engine to end well
    return spawn(command[0], command.slice(1), { detached: true, stdio: ["ignore", log, log] })
  } finally {
    closeSync(log)
  }
}

async function ready(daemon, folder, env) {
  const deadline = Date.now() + READY_MS
  for (;;) {
    const { code } = await run("docker", ["info"], { env: whole(env), timeoutMs: 10_000 })
    if (code === 0) return
    const ended = daemon.exitCode !== null || daemon.signalCode !== null || daemon.pid === undefined
    if (ended || Date.now() > deadline) {
      throw new Error(
        `${ended ? "it has ended" : `it is not ready after ${READY_MS} ms`}. It said:\n${lastLines(folder)}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function lastLines(folder) {
  return readFileSync(join(folder, "dockerd.log"), "utf8").trimEnd().split("\n").slice(-8).join("\n")
}

/** `docker compose` where it can be had; without it the tests that need it say so. */
async function offerCompose(env) {
  const plugins = join(env.DOCKER_CONFIG, "cli-plugins")
  mkdirSync(plugins, { recursive: true })
  const { code } = await run("docker", ["compose", "version"], { env: whole(env) })
  if (code === 0) return
  try {
    symlinkSync(await composePlugin(), join(plugins, "docker-compose"))
  } catch (error) {
    process.stderr.write(`containers: "docker compose" is not there: ${error.message}\n`)
  }
}

/** Containers, and the networks that are theirs: a network that is left would stay on this machine as a bridge. */
async function removeAll(env) {
  const { stdout } = await run("docker", ["ps", "--all", "--quiet"], { env: whole(env) })
  const ids = stdout.split("\n").filter((id) => id !== "")
  if (ids.length > 0) await run("docker", ["rm", "--force", "--volumes", ...ids], { env: whole(env) })
  await run("docker", ["network", "prune", "--force"], { env: whole(env) })
}

async function removeFolder(folder) {
  for (const mount of mountsBelow(folder)) await run("umount", ["--lazy", mount])
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** What engines have left whose script was killed: some hundred megabytes each. */
async function removeLeftovers() {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name)
    const isUsed = ["owner", "dockerd.pid"].some((file) => isRunning(join(folder, file)))
    if (existsSync(join(folder, "owner")) && !isUsed) await removeFolder(folder)
  }
}

/** Whether the process is there whose number is in a file. */
function isRunning(file) {
  return existsSync(file) && existsSync(`/proc/${Number(readFileSync(file, "utf8"))}`)
}

/** What the engine has mounted and left, the deepest first. */
function mountsBelow(folder) {
  const places = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
  return places.filter((place) => place.startsWith(`${folder}/`)).sort((a, b) => b.length - a.length)
}

async function within(ms, promise) {
  let timer
  await Promise.race([promise, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
