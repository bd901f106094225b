import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { MeshNames } from "../../src/bus/subjects.js"
import { applyPlan, planDeployment } from "../../src/node/deployment/deploy.js"
import { compileRights } from "../../src/node/rights/compile.js"
import { declarationOf } from "../../src/node/rights/declaration.js"
import { accountsConfig } from "../../src/node/rights/server-config.js"
import { testCertificates } from "../../test/support/certificates.js"
import { startTestServer, type TestServer } from "../../test/support/nats-server.js"
import { agentName, agentOf } from "../loops/agent.js"
import { compareRates, type RatesLoad, type Setting, type SettingRates } from "./rates.js"

export interface SecurityOptions {
  readonly load: RatesLoad
  readonly say: (line: string) => void
}

/** A user by nkey, and where its seed is. */
interface User {
  readonly key: string
  readonly nkeyFile: string
}

/** The same on servers that let in anybody, that encrypt, that know their users, and that confine them. */
export async function measureSecurity({ load, say }: SecurityOptions): Promise<Record<string, SettingRates>> {
  const dir = mkdtempSync(join(tmpdir(), "murmur-bench-"))
  const servers: TestServer[] = []
  const start = async (config: string): Promise<string> => {
    const server = await startTestServer({ config })
    servers.push(server)
    return server.url
  }
  try {
    const settings = [
      { name: "plain", url: await start(""), mesh: () => ({}) },
      await withTls(dir, start),
      await withUsers(dir, start),
      await withRights(dir, start, load.rounds),
    ]
    return await compareRates(settings, load, say)
  } finally {
    for (const server of servers) await server.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

type Start = (config: string) => Promise<string>

async function withTls(dir: string, start: Start): Promise<Setting> {
  const { ca, server } = await testCertificates("server", "client")
  const [caFile, certFile, keyFile] = [join(dir, "ca.pem"), join(dir, "server.pem"), join(dir, "server.key")]
  writeFileSync(caFile, ca)
  writeFileSync(certFile, server.cert)
  writeFileSync(keyFile, server.key)
  const login = { caFile }
  const url = await start(`tls { cert_file: ${JSON.stringify(certFile)}, key_file: ${JSON.stringify(keyFile)} }`)
  return { name: "TLS", url, login, mesh: () => login }
}

async function withUsers(dir: string, start: Start): Promise<Setting> {
  const { key, nkeyFile } = makeUser(dir, "user")
  const login = { nkeyFile }
  const url = await start(`authorization { users: [ { nkey: ${key} } ] }`)
  return { name: "nkey", url, login, mesh: () => login }
}

/** The node is in an account of its own, with the rights that follow from its agent; a deployer makes its streams. */
async function withRights(dir: string, start: Start, rounds: number): Promise<Setting> {
  const [system, admin, node] = [makeUser(dir, "system"), makeUser(dir, "admin"), makeUser(dir, "node")]
  const loop = (round: number): string => `rates-${round}`
  const meshName = (round: number): string => `confined-${round}`
  const publish = new Set<string>()
  for (let round = 1; round <= rounds; round++) {
    const rights = compileRights(new MeshNames(meshName(round), "agent"), declarationOf(hosted(loop(round))))
    for (const subject of rights.publish) publish.add(subject)
  }
  const config = accountsConfig({
    system: [{ name: "system", keys: [system.key] }],
    admins: [{ name: "admin", keys: [admin.key] }],
    nodes: [{ name: "node", keys: [node.key], publish: [...publish] }],
  })
  return {
    name: "nkey, compiled rights",
    url: await start(config),
    login: { nkeyFile: node.nkeyFile },
    loop,
    mesh: (round) => ({ name: meshName(round), layout: "agent", nkeyFile: admin.nkeyFile }),
    async deploy({ bus }, { name }) {
      await applyPlan(await planDeployment(bus, hosted(name)), new AbortController().signal)
    },
  }
}

/** What the loop hosts. */
function hosted(loop: string) {
  const name = agentName({ name: loop }, 0)
  return { agents: [agentOf(name, { variant: "state", calls: 0, inflight: 64 }, () => {})], sources: [] }
}

function makeUser(dir: string, name: string): User {
  const pair = nkeys.createUser()
  const nkeyFile = join(dir, `${name}.nk`)
  writeFileSync(nkeyFile, pair.getSeed())
  return { key: pair.getPublicKey(), nkeyFile }
}
