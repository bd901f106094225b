import { mkdirSync, readdirSync, rmdirSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { type RunOptions, type RunResult, run } from "../../support/run.js"

const root = resolve(import.meta.dirname, "../../..")
export const MAIN = join(root, "dist/cli/main.js")

/** Builds what is tested, unless it is built already. Test files that start together take turns. */
export async function buildCli(): Promise<void> {
  const lock = join(root, "dist", ".building")
  mkdirSync(join(root, "dist"), { recursive: true })
  for (const deadline = Date.now() + 60_000; ; await delay(50)) {
    try {
      mkdirSync(lock)
      break
    } catch {
      if (Date.now() > deadline) rmdirSync(lock) // left by a run that was killed
    }
  }
  try {
    if (newest(join(root, "src")) <= builtAt()) return
    // a wrong type does not keep the compiler from writing, and is another check's business
    await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { cwd: root })
    if (builtAt() === 0) throw new Error("murmur cannot be built: run npm run build")
  } finally {
    rmdirSync(lock)
  }
}

function newest(folder: string): number {
  const times = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"))
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs)
  return Math.max(...times)
}

function builtAt(): number {
  try {
    return Math.min(statSync(MAIN).mtimeMs, statSync(join(root, "dist/.tsbuildinfo")).mtimeMs)
  } catch {
    return 0
  }
}

/** The environment of a command: ours without what would lead it to another mesh or switch something on. */
export function cliEnv(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(NATS_|MURMUR_|OTEL_|JAEGER_|GITHUB_|GITLAB_)/.test(name),
  )
  return { ...Object.fromEntries(own), NO_COLOR: "1", ...extra }
}

/** Runs `murmur` to its end. */
export function murmur(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run(process.execPath, [MAIN, ...args], { ...options, env: cliEnv(options.env) })
}

/** A `murmur` that talks to one server. */
export function murmurAt(url: string) {
  return async (...args: string[]): Promise<RunResult> => murmur(args, { env: { NATS_URL: url } })
}

/** The JSON that a command printed. @throws Error when it failed, with what it said */
export function jsonOf<T>({ code, stdout, stderr }: RunResult): T {
  if (code !== 0) throw new Error(`murmur ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as T
}

/** The JSON lines that a command printed. */
export function jsonLines<T>({ stdout }: RunResult): T[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T)
}

/** The object on the last line of what a failed command said. */
export function errorOf({ stderr }: RunResult): { code: string; message: string } {
  const last = stderr.trimEnd().split("\n").at(-1) ?? ""
  return (JSON.parse(last) as { error: { code: string; message: string } }).error
}
