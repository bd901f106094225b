// Makes what the services of deploy/compose.yaml need before they start, and gives each of them its own part:
// certificates, keys, and the rights of each kind of node, compiled from what its agents declare. What is there is kept;
// after a change of the agents it makes their rights anew. Runs as root, in a container without a network.
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const MURMUR = "/app/node_modules/murmur/dist/cli/main.js"
const AGENTS = "/app/agents"
const AUTH = "/auth"
const FOR = "/for"
const DATA = "/data"
/** Whom all services run as. */
const USER = 1000

const { GATEWAY_AGENTS = "", NODE_AGENTS = "" } = process.env

murmur("init", "--tls", "nats-1,nats-2,nats-3,localhost,127.0.0.1")
murmur("add-node", "gateway", AGENTS, "--agents", GATEWAY_AGENTS, "--http")
murmur("add-node", "node", AGENTS, "--agents", NODE_AGENTS)
makeToken(join(AUTH, "token"))

give("nats", { "auth.conf": "auth.conf", "server.pem": "server.pem", "server.key": "server.key", "ca.pem": "ca.pem" })
for (const user of ["deployer", "operator", "gateway", "node"]) {
  give(user, { [`${user}.nk`]: "user.nk", "ca.pem": "ca.pem", ...(user === "gateway" && { token: "token" }) })
}
for (const server of readdirSync(DATA)) chownSync(join(DATA, server), USER, USER)

/** Runs "murmur auth". */
function murmur(...args) {
  execFileSync(process.execPath, [MURMUR, "auth", ...args, "--dir", AUTH], { stdio: "inherit" })
}

/** What producers show to the gateway. */
function makeToken(file) {
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600 })
}

/** Copies files for a service, which alone may read them. They are replaced in one move: nobody reads half a file. */
function give(service, files) {
  const folder = join(FOR, service)
  chmodSync(folder, 0o755)
  for (const [from, to] of Object.entries(files)) {
    const target = join(folder, to)
    writeFileSync(`${target}.new`, readFileSync(join(AUTH, from)), { mode: 0o400 })
    chownSync(`${target}.new`, USER, USER)
    renameSync(`${target}.new`, target)
  }
}
