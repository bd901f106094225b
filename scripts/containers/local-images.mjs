import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createJiti } from "jiti"
import { addFile, addProgram, addSystem } from "./root-folder.mjs"
import { must } from "./run.mjs"

const NODE = "murmur/node:local"
const NATS = "murmur/nats-server:local"
const CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
/** How this machine's npm reaches its registry. What would authenticate it there is not taken along. */
const NPM_SETTINGS = ["registry", "proxy", "https-proxy", "noproxy", "strict-ssl"]

/**
 * Images of the programs that this machine runs itself, for machines without a registry. They are for tests: they hold
 * what the tests need and stay on this machine.
 *
 * @param {NodeJS.ProcessEnv} env leads to the engine
 * @returns {Promise<{ node: string, nats: string }>}
 * @throws Error with the reason
 */
export async function makeLocalImages(env) {
  if (process.platform !== "linux") throw new Error(`these are for ${process.platform}`)
  await inFolder(async (folder) => {
    addSystem(folder)
    addProgram(folder, await natsServer(), "/nats-server")
    const changes = ['ENTRYPOINT ["/nats-server"]', "EXPOSE 4222 6222 8222"]
    await importImage(folder, NATS, changes, env)
  })
  await inFolder(async (folder) => {
    addSystem(folder)
    addProgram(folder, process.execPath, "/usr/local/bin/node")
    await importImage(folder, NODE, ['CMD ["node"]', ...(await addNpm(folder))], env)
  })
  return { node: NODE, nats: NATS }
}

async function natsServer() {
  const { ensureServerBinary } = await createJiti(import.meta.url).import("../../src/bus/server/index.ts")
  return (await ensureServerBinary()).path
}

/** @returns what the image has to say about it */
async function addNpm(folder) {
  const home = npmHome()
  cpSync(home, join(folder, "usr/local/lib/node_modules/npm"), { recursive: true })
  addFile(folder, join(home, "bin/npm-cli.js"), "/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js")
  const settings = JSON.parse(await must(process.execPath, [join(home, "bin/npm-cli.js"), "config", "ls", "--json"]))
  const authorities = settings.cafile || process.env.NODE_EXTRA_CA_CERTS || CA_FILE
  if (existsSync(authorities)) cpSync(authorities, join(folder, CA_FILE))
  const own = NPM_SETTINGS.filter((name) => settings[name]).map((name) => [`npm_config_${name}`, settings[name]])
  if (existsSync(authorities)) own.push(["npm_config_cafile", CA_FILE])
  return own.map(([name, value]) => `ENV ${name}=${JSON.stringify(String(value))}`)
}

/** npm lies beside its Node, or where `npm` on PATH leads to. */
function npmHome() {
  const beside = join(dirname(realpathSync(process.execPath)), "../lib/node_modules/npm")
  const running = process.env.npm_execpath ? dirname(dirname(realpathSync(process.env.npm_execpath))) : undefined
  const found = [beside, running].find((home) => home && existsSync(join(home, "node_modules")))
  if (found === undefined) throw new Error("npm is not where this Node has it")
  return found
}

async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "murmur-image-"))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function importImage(folder, name, changes, env) {
  const archive = `${folder}.tar`
  try {
    await must("tar", ["-C", folder, "--owner=0", "--group=0", "-cf", archive, "."])
    await must("docker", ["import", ...changes.flatMap((change) => ["--change", change]), archive, name], { env })
  } finally {
    rmSync(archive, { force: true })
  }
}
