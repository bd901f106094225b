import { execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readdirSync } from "node:fs"
import { type AddressInfo, connect, createServer } from "node:net"
import { join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)
const ON_PATH = { binary: "redis-server", env: process.env }
const PACKAGES = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"]
const READY_MS = 10_000

export interface Redis {
  readonly port: number
  readonly version: string
  stop(): Promise<void>
}

/**
 * Starts a Redis with an append-only file: the one on PATH, else the packages of this Debian or Ubuntu, unpacked into
 * `dir` without being installed.
 *
 * @param fsync when Redis writes to disk
 * @throws Error where neither can be had
 */
export async function startRedis(dir: string, fsync: "everysec" | "always"): Promise<Redis> {
  const { binary, env } = onPath() ?? (await unpack(dir))
  const store = join(dir, `redis-${fsync}`)
  mkdirSync(store, { recursive: true })
  const port = await freePort()
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", store, "--save", ""]
  const child = spawn(binary, [...args, "--appendonly", "yes", "--appendfsync", fsync], { stdio: "ignore", env })
  const kill = (): void => void child.kill("SIGKILL")
  process.once("exit", kill)
  await answers(port)
  const version =
    execFileSync(binary, ["--version"], { env })
      .toString()
      .match(/v=([\d.]+)/)?.[1] ?? "unknown"
  const stop = async (): Promise<void> => {
    const gone = once(child, "exit")
    child.kill("SIGTERM")
    const timer = setTimeout(kill, 5_000)
    await gone
    clearTimeout(timer)
    process.off("exit", kill)
  }
  return { port, version, stop }
}

interface Program {
  readonly binary: string
  readonly env: NodeJS.ProcessEnv
}

function onPath(): Program | undefined {
  try {
    execFileSync(ON_PATH.binary, ["--version"], { stdio: "ignore" })
    return ON_PATH
  } catch {
    return undefined
  }
}

async function unpack(dir: string): Promise<Program> {
  const root = join(dir, "redis-root")
  mkdirSync(root, { recursive: true })
  await run("apt-get", ["download", ...PACKAGES], { cwd: dir })
  for (const file of readdirSync(dir).filter((name) => name.endsWith(".deb"))) {
    await run("dpkg-deb", ["-x", join(dir, file), root])
  }
  const libraries = ["usr/lib", "lib"].flatMap((folder) => foldersOf(join(root, folder))).join(":")
  return { binary: join(root, "usr/bin/redis-server"), env: { ...process.env, LD_LIBRARY_PATH: libraries } }
}

/** One of them is that of this machine's architecture. */
function foldersOf(path: string): string[] {
  return existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function answers(port: number): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (Date.now() < deadline) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port })
      const done = (is: boolean) => (): void => {
        socket.destroy()
        resolve(is)
      }
      socket.once("connect", done(true)).once("error", done(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`redis-server did not answer within ${READY_MS} ms`)
}
