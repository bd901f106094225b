import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { createIdentity, type IdentityKey } from "../../src/bus/identity.js"
import { MeshNames } from "../../src/bus/subjects.js"
import { applyPlan, planDeployment } from "../../src/node/deployment/deploy.js"
import type { Hosted } from "../../src/node/hosted.js"
import { MurmurNode } from "../../src/node/node.js"
import { compileRights } from "../../src/node/rights/compile.js"
import { declarationOf } from "../../src/node/rights/declaration.js"
import { accountsConfig, type Identities, type NodeIdentity } from "../../src/node/rights/server-config.js"
import { noTelemetry, type Telemetry } from "../../src/telemetry/ports.js"
import { startTestCluster, type TestCluster } from "./nats-cluster.js"
import { startTestServer, type TestServer } from "./nats-server.js"

/** A server with generated rights, a deployment, and credentials for nodes. */
export interface SecuredMesh {
  /** The only one, or the first of a cluster. */
  readonly server: TestServer
  readonly servers: readonly TestServer[]
  readonly mesh: string
  /** The deployer's connection. */
  readonly admin: Bus
  readonly identities: Identities
  /** The file with the seed of a node's user. */
  seedFile(node: string): string
  /** A node with these credentials, that hosts what was declared for it, or something else. */
  start(node: string, options?: { telemetry?: Telemetry; id?: string; hosted?: Partial<Hosted> }): Promise<MurmurNode>
  /** A connection with a node's credentials. */
  connect(node: string): Promise<Bus>
  /** What the server has refused so far. */
  violations(): string[]
  stop(): Promise<void>
}

export interface DeclaredNode {
  readonly hosted: Partial<Hosted>
  readonly intake?: boolean
}

/**
 * Starts a server on which each node may do what is declared, and deploys all that they need.
 *
 * @param options.cluster three servers, and three copies of all
 */
export async function startSecuredMesh(
  nodes: Readonly<Record<string, DeclaredNode>>,
  { cluster = false }: { cluster?: boolean } = {},
): Promise<SecuredMesh> {
  const mesh = "test"
  const dir = mkdtempSync(join(tmpdir(), "murmur-keys-"))
  const seeds = new Map<string, string>()
  const keep = (name: string, { seed, publicKey }: IdentityKey): string => {
    const file = join(dir, `${name}.nk`)
    writeFileSync(file, seed, { mode: 0o600 })
    seeds.set(name, file)
    return publicKey
  }
  const identity = (name: string) => ({ name, keys: [keep(name, createIdentity("user"))] })
  const identities: Identities = {
    system: [identity("sys")],
    admins: [identity("deployer")],
    nodes: Object.entries(nodes).map(([name, declared]): NodeIdentity => {
      const { publish } = compileRights(new MeshNames(mesh), declarationIn(declared))
      return { ...identity(name), publish }
    }),
  }
  const config = accountsConfig(identities)
  const { servers, url, stop: stopServers } = await (cluster ? startTestCluster({ config }) : single(config))
  const [server] = servers as [TestServer]
  const closing: (() => Promise<unknown>)[] = []
  const fileOf = (name: string): string => seeds.get(name) ?? ""
  const connect = async (name: string): Promise<Bus> => {
    const layout = name === "deployer" ? ("agent" as const) : undefined
    const bus = await openBus({ url, name, mesh, layout, nkeyFile: fileOf(name) })
    closing.push(() => bus.close())
    return bus
  }
  const stop = async (): Promise<void> => {
    try {
      for (const close of closing.splice(0)) await close()
    } finally {
      await stopServers()
      rmSync(dir, { recursive: true, force: true })
    }
  }
  try {
    const admin = await connect("deployer")
    const all = Object.values(nodes).map(({ hosted }) => hosted)
    const agents = all.flatMap((hosted) => hosted.agents ?? [])
    const sources = all.flatMap((hosted) => hosted.sources ?? [])
    await applyPlan(
      await planDeployment(admin, { agents, sources, ...(cluster && { retention: { replicas: 3 } }) }),
      AbortSignal.timeout(60_000),
    )
    return {
      ...{ server, servers, mesh, admin, identities, connect, stop },
      seedFile: fileOf,
      async start(name, { telemetry = noTelemetry, id, hosted } = {}) {
        const bus = await connect(name)
        const { agents = [], sources = [], models } = hosted ?? nodes[name]?.hosted ?? {}
        const node = await MurmurNode.start({
          ...{ bus, telemetry, agents, sources },
          ...(models && { models }),
          ...(id && { id }),
        })
        closing.unshift(() => node.stop(2_000))
        return node
      },
      violations: () => servers.flatMap((one) => one.log().split("\n")).filter((line) => /violation/i.test(line)),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function single(config: string): Promise<Pick<TestCluster, "servers" | "url" | "stop">> {
  const server = await startTestServer({ config })
  return { servers: [server], url: server.url, stop: () => server.stop() }
}

function declarationIn({ hosted, intake = false }: DeclaredNode) {
  return { ...declarationOf({ agents: hosted.agents ?? [], sources: hosted.sources ?? [] }), intake }
}
