import type { StartedNetwork } from "testcontainers"
import { until } from "../../support/mesh.js"
import { freePorts } from "../../support/nats-cluster.js"
import { docker, mustDocker } from "./docker.js"
import { engine } from "./engine.js"

/** Three nats-servers in containers, which keep what is in them in up to three copies. */
export interface NatsContainers {
  /** Of all three, for the tester. */
  readonly url: string
  /** Of all three, for containers of the network. */
  readonly innerUrl: string
  /** Names of the containers, which are also their names in the network. */
  readonly names: readonly string[]
  /** Waits until every server answers and has caught up with all that it keeps. */
  healthy(): Promise<void>
  stop(): Promise<void>
}

const HEALTHY_MS = 60_000

/** Starts the cluster. Its ports on this machine stay the same when a container is killed and started again. */
export async function startNatsCluster(network: StartedNetwork): Promise<NatsContainers> {
  const names = ["n1", "n2", "n3"].map((name) => `${name}-${network.getName().slice(0, 8)}`)
  const free = await freePorts(2 * names.length)
  const ports = names.map((_, place) => free.slice(2 * place, 2 * place + 2))
  const routes = names.map((name) => `nats://${name}:6222`).join(",")
  const stop = async (): Promise<void> => {
    await mustDocker(["rm", "--force", "--volumes", ...names])
  }
  try {
    for (const [place, name] of names.entries()) {
      const [client, monitor] = ports[place] ?? []
      const published = ["--publish", `127.0.0.1:${client}:4222`, "--publish", `127.0.0.1:${monitor}:8222`]
      const server = ["-js", "-sd", "/tmp/store", "-m", "8222", "-n", name]
      const cluster = ["--cluster_name", "c", "--cluster", "nats://0.0.0.0:6222", "--routes", routes, "--no_advertise"]
      const container = ["--detach", "--name", name, "--network", network.getName(), ...published]
      await mustDocker(["run", ...container, engine().natsImage, ...server, ...cluster])
    }
  } catch (error) {
    await docker(["rm", "--force", "--volumes", ...names])
    throw error
  }
  const healthy = (): Promise<void> =>
    until(
      "all servers of the cluster have caught up",
      async () => (await Promise.all(ports.map(([, monitor]) => isHealthy(monitor)))).every(Boolean),
      HEALTHY_MS,
    )
  return {
    url: ports.map(([client]) => `nats://127.0.0.1:${client}`).join(","),
    innerUrl: names.map((name) => `nats://${name}:4222`).join(","),
    names,
    healthy,
    stop,
  }
}

async function isHealthy(monitor: number | undefined): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${monitor}/healthz`, { signal: AbortSignal.timeout(1_000) })
    return response.status === 200
  } catch {
    return false // It is away, or stands still.
  }
}
