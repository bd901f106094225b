import { randomUUID } from "node:crypto"
import { createServer } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { until } from "./mesh.js"
import { startTestServer, type TestServer, type TestServerOptions } from "./nats-server.js"

/** Three nats-servers that keep what is in them in up to three copies. Whoever starts it stops it. */
export interface TestCluster {
  /** Of all three, comma-separated. */
  readonly url: string
  /** By their place; killed, paused and started anew one by one. */
  readonly servers: readonly TestServer[]
  /** The place of the server that leads a stream, or a consumer of it; waits until there is one. */
  leaderOf(stream: string, consumer?: string): Promise<number>
  /** Waits until every server answers and has caught up with all that it keeps. */
  healthy(timeoutMs?: number): Promise<void>
  stop(): Promise<void>
}

const SIZE = 3
const HEALTHY_MS = 30_000

/** Starts a cluster of three on free ports of this machine. */
export async function startTestCluster(options: TestServerOptions = {}): Promise<TestCluster> {
  const name = `test-${randomUUID().slice(0, 8)}`
  const routePorts = await freePorts(SIZE)
  const servers: TestServer[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    for (const [place, port] of routePorts.entries()) {
      const config = `${options.config ?? ""}\n${clusterConfig(name, place, port, routePorts)}`
      servers.push(await startTestServer({ ...options, config }))
    }
    const cluster = new Cluster(servers, stop)
    await cluster.healthy()
    return cluster
  } catch (error) {
    await stop()
    throw error
  }
}

function clusterConfig(name: string, place: number, port: number, all: readonly number[]): string {
  const routes = all.map((one) => `"nats://127.0.0.1:${one}"`).join(", ")
  return `server_name: "${name}-${place}"\ncluster { name: "${name}", listen: "127.0.0.1:${port}", routes: [${routes}] }`
}

class Cluster implements TestCluster {
  readonly url: string

  constructor(
    readonly servers: readonly TestServer[],
    readonly stop: () => Promise<void>,
  ) {
    this.url = servers.map(({ url }) => url).join(",")
  }

  async leaderOf(stream: string, consumer?: string): Promise<number> {
    let place = -1
    const led = async (): Promise<boolean> => {
      const reports = await Promise.all(this.servers.map((server) => report(server, stream)))
      place = reports.findIndex((found) =>
        consumer === undefined ? found?.leads : found?.consumers.includes(consumer),
      )
      return place >= 0
    }
    await until(`${consumer ?? stream} has a leader`, led)
    return place
  }

  async healthy(timeoutMs = HEALTHY_MS): Promise<void> {
    const allHealthy = async (): Promise<boolean> => (await Promise.all(this.servers.map(isHealthy))).every(Boolean)
    await until("all servers of the cluster have caught up", allHealthy, timeoutMs)
  }
}

/** What one server says of itself and a stream. */
interface Report {
  readonly leads: boolean
  /** The consumers that it leads. */
  readonly consumers: readonly string[]
}

interface Led {
  readonly name: string
  readonly cluster?: { readonly leader?: string }
}

interface StreamDetail extends Led {
  readonly consumer_detail?: readonly Led[]
}

/** Each server is asked about itself: whom another takes for the leader may have died just now. */
async function report(server: TestServer, stream: string): Promise<Report | undefined> {
  const [jsz, varz] = await Promise.all([
    ask<{ account_details?: { stream_detail?: StreamDetail[] }[] }>(server, "/jsz?streams=true&consumers=true"),
    ask<{ server_name: string }>(server, "/varz"),
  ])
  const details = jsz?.account_details?.flatMap(({ stream_detail: streams = [] }) => streams) ?? []
  const found = details.find(({ name }) => name === stream)
  if (found === undefined || varz === undefined) return undefined
  const isOwn = ({ cluster }: Led): boolean => cluster?.leader === varz.server_name
  return { leads: isOwn(found), consumers: (found.consumer_detail ?? []).filter(isOwn).map(({ name }) => name) }
}

/** It answers, has a leader of the cluster, and is behind in nothing that it keeps. */
async function isHealthy(server: TestServer): Promise<boolean> {
  return (await ask<{ status: string }>(server, "/healthz"))?.status === "ok"
}

async function ask<T>(server: TestServer, path: string): Promise<T | undefined> {
  try {
    const response = await fetch(server.monitorUrl + path, { signal: AbortSignal.timeout(1_000) })
    return (await response.json()) as T
  } catch {
    return undefined // It is away, or stands still.
  }
}

/** Ports that nobody listens on, below those that systems take for outgoing connections. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 22_000)
    if (await isFree(port)) found.add(port)
    else await delay(1)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
}
