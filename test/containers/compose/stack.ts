import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { MAIN } from "../../cli/support/cli.js"
import { type RunResult, run } from "../../support/run.js"
import { docker, mustDocker } from "../support/docker.js"
import { engine } from "../support/engine.js"
import { buildImage } from "../support/image.js"

const root = resolve(import.meta.dirname, "../../..")
const FILES = ["deploy/compose.yaml", "test/containers/compose/override.yaml"].flatMap((file) => ["--file", file])
/** On a machine that has much else to do. */
const COMMAND_MS = 360_000
const PORTS = ["NATS_PORT", "GATEWAY_PORT", "JAEGER_PORT", "OTLP_PORT"] as const

/** A span that the receiver was sent, and which node sent it. */
export interface SentSpan {
  readonly node: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
}

/** deploy/compose.yaml, started for a test: under a name and on ports of its own, with local images where no others are. */
export class Stack {
  /** Files for the tester: keys that were copied out. */
  readonly folder = mkdtempSync(join(tmpdir(), "murmur-compose-"))

  private constructor(
    private readonly project: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** Makes the images. Nothing runs yet. */
  static async open(): Promise<Stack> {
    const image = await buildImage()
    const ports = await freePorts(PORTS.length)
    return new Stack(`murmur-test-${randomBytes(3).toString("hex")}`, {
      ...process.env,
      ...Object.fromEntries(PORTS.map((name, at) => [name, String(ports[at])])),
      MURMUR_IMAGE: image,
      JAEGER_IMAGE: image, // the receiver that stands for it needs a Node
      NATS_IMAGE: await natsImage(),
    })
  }

  /** Runs `docker compose`. @returns what it printed @throws Error with what it said, when it did not succeed */
  compose(...args: string[]): Promise<string> {
    return mustDocker(["compose", "--project-name", this.project, ...FILES, ...args], {
      cwd: root,
      env: this.env,
      timeoutMs: COMMAND_MS,
    })
  }

  /** `docker compose up`, as the README has it. */
  async up(...more: string[]): Promise<void> {
    try {
      await this.compose("up", "--detach", "--wait", ...more)
    } catch (error) {
      const logs = await this.compose("logs", "--no-color", "--tail", "15").catch(String)
      throw new Error(`${error}\n${logs}`)
    }
  }

  /** Runs `murmur` in a container, as the README has it. */
  async murmur(...args: string[]): Promise<string> {
    return this.compose("run", "--rm", "--no-TTY", "murmur", ...args)
  }

  /** Runs `murmur` on this machine, with the files that were copied out to a folder. */
  onHost(folder: string, ...args: string[]): Promise<RunResult> {
    const login = ["--nats", this.natsUrl, "--tlsca", join(folder, "ca.pem"), "--nkey", join(folder, "user.nk")]
    return run(process.execPath, [MAIN, ...args, ...login])
  }

  /** Copies what a service is given out of the containers. @returns where it lies */
  async copyOut(service: string): Promise<string> {
    const folder = join(this.folder, service)
    await this.compose("cp", `setup:/for/${service}/.`, folder)
    return folder
  }

  get natsUrl(): string {
    return `tls://127.0.0.1:${this.env.NATS_PORT}`
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.env.GATEWAY_PORT}`
  }

  get jaegerUrl(): string {
    return `http://127.0.0.1:${this.env.JAEGER_PORT}`
  }

  async spans(): Promise<SentSpan[]> {
    return (await fetch(this.jaegerUrl)).json() as Promise<SentSpan[]>
  }

  /** Takes everything away, volumes included. */
  async close(): Promise<void> {
    await this.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5").finally(() =>
      rmSync(this.folder, { recursive: true, force: true }),
    )
  }
}

/** The server's image, with the `wget` that the health check runs. */
async function natsImage(): Promise<string> {
  const { natsImage: image, nodeImage } = engine()
  const { code } = await docker(["run", "--rm", "--entrypoint", "wget", image, "--help"])
  if (code === 0) return image
  const tag = "murmur/nats-with-wget:test"
  const args = ["--build-arg", `NATS_IMAGE=${image}`, "--build-arg", `NODE_IMAGE=${nodeImage}`]
  await mustDocker(["build", "--quiet", ...args, "--file", "nats.Dockerfile", "--tag", tag, "."], {
    cwd: import.meta.dirname,
  })
  return tag
}

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"))
  await Promise.all(servers.map((server) => once(server, "listening")))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}
