import { statSync } from "node:fs"
import { basename } from "node:path"
import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from "testcontainers"
import { mustDocker } from "./docker.js"
import { engine } from "./engine.js"

const START_MS = 60_000

/** A nats-server with JetStream in a container. */
export interface NatsContainer {
  readonly container: StartedTestContainer
  /** For the tester, outside of the containers. */
  readonly url: string
}

/** Starts a nats-server that containers of this network reach as `nats://<alias>:4222`. */
export async function startNats(network: StartedNetwork, alias = "nats"): Promise<NatsContainer> {
  const container = await new GenericContainer(engine().natsImage)
    .withNetwork(network)
    .withNetworkAliases(alias)
    .withExposedPorts(4222, 8222)
    .withTmpFs({ "/store": "rw" })
    .withCommand(["-js", "-sd", "/store", "-m", "8222"])
    .withWaitStrategy(
      Wait.forAll([Wait.forLogMessage("Server is ready"), Wait.forHttp("/healthz", 8222)]).withStartupTimeout(START_MS),
    )
    .start()
  return { container, url: `nats://${container.getHost()}:${container.getMappedPort(4222)}` }
}

/** What a node is started with. */
export interface NodeOptions {
  readonly image: string
  readonly network: StartedNetwork
  readonly mesh: string
  /** A folder that is mounted as its agents, or one file of them. Without it: what is in the image. */
  readonly agents?: string
  readonly env?: Record<string, string>
}

/** A node of murmur in a container. */
export interface NodeContainer {
  readonly id: string
  /** Its HTTP side, for the tester. */
  readonly http: string
  /** What it wrote so far, to both outputs. */
  logs(): Promise<string>
  /** One value of `docker inspect`, by its Go template: `{{.State.Health.Status}}`. */
  inspect(template: string): Promise<string>
  /** `docker stop`: SIGTERM, and SIGKILL when it is not over in time. @returns its exit code */
  stop(graceSeconds: number): Promise<number>
  remove(): Promise<void>
}

/** The strictest that the image promises to work with. */
class HardenedContainer extends GenericContainer {
  constructor(image: string) {
    super(image)
    this.hostConfig.ReadonlyRootfs = true
    this.withTmpFs({ "/tmp": "rw" }).withDroppedCapabilities("ALL").withSecurityOpt("no-new-privileges")
  }
}

/** Starts a node with a read-only root and no rights; resolves when it is ready. */
export async function startNode({ image, network, mesh, agents, env = {} }: NodeOptions): Promise<NodeContainer> {
  const node = new HardenedContainer(image)
    .withNetwork(network)
    .withExposedPorts(4300)
    .withEnvironment({ NATS_URL: "nats://nats:4222", ...env })
    .withCommand(["up", "/app/agents", "--json", "--mesh", mesh])
    .withWaitStrategy(
      Wait.forAll([Wait.forLogMessage(/"ready":true/), Wait.forHttp("/readyz", 4300)]).withStartupTimeout(START_MS),
    )
  if (agents !== undefined) {
    const target = statSync(agents).isFile() ? `/app/agents/${basename(agents)}` : "/app/agents"
    node.withBindMounts([{ source: agents, target, mode: "ro" }])
  }
  const container = await node.start()
  const id = container.getId()
  const inspect = (template: string): Promise<string> => mustDocker(["inspect", "--format", template, id])
  return {
    id,
    http: `http://${container.getHost()}:${container.getMappedPort(4300)}`,
    inspect,
    logs: () => mustDocker(["logs", id]),
    async stop(graceSeconds) {
      await mustDocker(["stop", "--time", String(graceSeconds), id], { timeoutMs: (graceSeconds + 30) * 1_000 })
      return Number(await inspect("{{.State.ExitCode}}"))
    },
    async remove() {
      await mustDocker(["rm", "--force", "--volumes", id])
    },
  }
}
