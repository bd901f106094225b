import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { startPrivateEngine } from "./private-engine.mjs"
import { run } from "./run.mjs"

/**
 * A Docker engine for a while.
 *
 * @typedef {object} Engine
 * @property {"user" | "private" | "none"} kind
 * @property {string} [reason] why there is none
 * @property {string} what for people
 * @property {NodeJS.ProcessEnv} env what leads to it
 * @property {() => Promise<void>} stop ends what was started for it, and nothing else
 */

/** The engine that answers, else a private one, else none and why. @returns {Promise<Engine>} */
export async function findEngine() {
  const info = await run("docker", ["info", "--format", "{{.OSType}} {{.ServerVersion}}"], { timeoutMs: 15_000 })
  const [os, version] = info.code === 0 ? info.stdout.trim().split(" ") : []
  if (os === "linux") return { kind: "user", what: `the engine of this machine (${version})`, env: {}, stop: nothing }
  if (os) return none(`the Docker engine of this machine runs ${os} containers, not Linux ones`)
  const obstacle = whyNoneOfItsOwn()
  if (obstacle !== undefined) return none(`no Docker engine answers, and ${obstacle}`)
  try {
    return await startPrivateEngine(onPath("dockerd"))
  } catch (error) {
    return none(`a private Docker engine does not start: ${error.message}`)
  }
}

function whyNoneOfItsOwn() {
  if (process.platform !== "linux") return "one can be started for a while on Linux only"
  if (process.getuid() !== 0) return "only root can start one for a while"
  for (const program of ["dockerd", "docker"]) {
    if (onPath(program) === undefined) return `none can be started: ${program} is not installed (Debian: docker.io)`
  }
  return undefined
}

/** System folders are looked into as well: not every PATH names them. */
function onPath(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin"]
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}

const none = (reason) => ({ kind: "none", reason, what: "none", env: {}, stop: nothing })

async function nothing() {}
