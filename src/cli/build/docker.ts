import { spawn } from "node:child_process"
import { MurmurError } from "../../errors.js"

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** What of a failed build is told: its end. */
const LINES_TOLD = 20
/** A program of the image: see load-agents.ts. */
const LOAD = "/app/node_modules/murmur/dist/cli/load-agents.js"

/** Docker's client, as far as a build needs it. */
export class Docker {
  /** @param progress where builds show how they go on, line by line */
  constructor(private readonly progress: NodeJS.WriteStream | undefined) {}

  /** @throws MurmurError `DOCKER_MISSING`, `DOCKER_UNREACHABLE` */
  async check(): Promise<void> {
    const { code, stderr } = await run(["version", "--format", "{{.Server.Version}}"])
    if (code === 0) return
    const why = stderr.trim().split("\n").at(-1) ?? ""
    throw new MurmurError(`Cannot build: no Docker engine answers (${why}). Start Docker, or set DOCKER_HOST`, {
      code: "DOCKER_UNREACHABLE",
    })
  }

  /** Whether the engine has this image already. */
  async has(image: string): Promise<boolean> {
    return (await run(["image", "inspect", image])).code === 0
  }

  /** @throws MurmurError `BUILD_FAILED` with the last that Docker said */
  async build(context: string, { tag, network }: { tag: string; network?: string }): Promise<void> {
    const options = ["--tag", tag, ...(network === undefined ? [] : ["--network", network])]
    const { code, stdout, stderr } = await run(["build", ...options, context], this.progress)
    if (code === 0) return
    const said = `${stdout}${stderr}`.trimEnd().split("\n").slice(-LINES_TOLD).join("\n")
    throw new MurmurError(`Cannot build "${tag}": docker build failed (${code}). The last it said:\n${said}`, {
      code: "BUILD_FAILED",
      details: { image: tag },
    })
  }

  /** Loads the agents of an image in a container that can do nothing else. */
  loadAgents(image: string): Promise<Ended> {
    const alone = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
    return run(["run", ...alone, "--no-healthcheck", "--entrypoint", "node", image, LOAD, "/app/agents"])
  }
}

/** @throws MurmurError `DOCKER_MISSING` */
function run(args: readonly string[], progress?: NodeJS.WriteStream): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn("docker", args, { stdio: ["ignore", "pipe", "pipe"] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    for (const [stream, pieces] of [
      [child.stdout, out],
      [child.stderr, err],
    ] as const) {
      stream.on("data", (piece: Buffer) => {
        pieces.push(piece)
        progress?.write(piece)
      })
    }
    child.on("error", (cause) => {
      const message = `Cannot build: Docker's client does not run (${cause.message}). Install Docker, and see that "docker" is on PATH`
      reject(new MurmurError(message, { code: "DOCKER_MISSING", cause }))
    })
    child.on("close", (code) => {
      resolve({ code: code ?? 1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
}
