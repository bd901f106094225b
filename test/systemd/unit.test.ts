import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { startTestServer } from "../support/nats-server.js"
import { startNodeProcess } from "../support/node-process.js"
import { type RunResult, run } from "../support/run.js"
import { readFences } from "../support/snippets/fences.js"

const root = resolve(import.meta.dirname, "../..")
const unit = readFileSync(join(root, "deploy/systemd/murmur@.service"), "utf8")
const MAIN = join(root, "dist/cli/main.js")

/** What docs/systemd.md puts into drop-ins. */
const dropIns = readFences(readFileSync(join(root, "docs/systemd.md"), "utf8"))
  .filter(({ language, code }) => language === "ini" && code.some((line) => line.trim() === "[Service]"))
  .map(({ line, code }): [number, string] => [line, code.join("\n")])

/** All values that the unit gives a setting, in order. */
const settings = (name: string): string[] =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value = ""]) => value)

const analyze = (args: readonly string[]): Promise<RunResult> => run("systemd-analyze", args)
const version = await analyze(["--version"]).then(
  ({ stdout }) => Number(/systemd (\d+)/.exec(stdout)?.[1] ?? 0),
  () => 0,
)
// the first that looks at files alone, and knows %d
const noSystemd = version < 250
if (noSystemd)
  process.stderr.write("skipped: what systemd says of the unit, since there is no systemd-analyze of 250 or newer\n")

/** The unit for this machine: with our Node in the place of the system's, since systemd looks whether it is there. */
async function withUnit<T>(change: (text: string) => string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-unit-"))
  try {
    const file = join(folder, "murmur@triage.service")
    writeFileSync(
      file,
      change(unit.replace("/usr/bin/node", process.execPath).replace("/opt/murmur/node_modules/murmur", root)),
    )
    return await use(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe.skipIf(noSystemd)("systemd", () => {
  it("has nothing to say against the unit", async () => {
    const { code, stderr } = await withUnit(String, (file) => analyze(["verify", file]))
    expect(stderr).toBe("")
    expect(code).toBe(0)
  })

  it("would say what is wrong", async () => {
    const spoilt = (text: string): string => text.replace("ProtectSystem=strict", "ProtectSytem=strict")
    const { stderr } = await withUnit(spoilt, (file) => analyze(["verify", file]))
    expect(stderr).toContain("ProtectSytem")
  })

  it.each(dropIns)("takes the drop-in of line %i of the page", async (_, text) => {
    const withDropIn = async (file: string): Promise<RunResult> => {
      mkdirSync(`${file}.d`)
      writeFileSync(join(`${file}.d`, "own.conf"), text)
      return analyze(["verify", file])
    }
    expect(await withUnit(String, withDropIn)).toMatchObject({ code: 0, stderr: "" })
  })

  it("finds little that the service is exposed to", async () => {
    const exposure = (change: (text: string) => string): Promise<RunResult> =>
      withUnit(change, (file) => analyze(["security", "--offline=true", "--threshold=20", file])) // 2.0 of 10
    expect((await exposure(String)).code).toBe(0)
    const bare = (text: string): string => text.replace("DynamicUser=yes", "User=root").replace(/^Capability.*$/m, "")
    expect((await exposure(bare)).code).not.toBe(0)
  })
})

describe.skipIf(process.platform === "win32")("what the unit starts", () => {
  const [command = ""] = settings("ExecStart")
  const environment = Object.fromEntries(
    settings("Environment").map((line) => {
      const at = line.indexOf("=")
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )

  it("is a node that comes up, and ends by SIGTERM within the time that the unit gives it", async () => {
    const [, script = "", name, ...args] = command.split(" ")
    expect(script.replace("/opt/murmur/node_modules/murmur", root)).toBe(MAIN)
    expect(name).toBe("up")
    const server = await startTestServer()
    try {
      const { NATS_NKEY: _none, MURMUR_PATHS: _paths, ...env } = environment // as the page says for a server without users
      const given = args.filter((arg) => arg !== "--json").flatMap((arg) => (arg === "$MURMUR_PATHS" ? paths() : [arg]))
      const node = await startNodeProcess([...given, "--port", "0"], {
        env: { ...env, MURMUR_NODE_ID: "host-triage", NATS_URL: server.url },
      })
      expect(node.ready.agents).toEqual(["loose", "narrow", "wide"])
      expect(await node.terminate()).toBe(0)
    } finally {
      await server.stop()
    }
    expect(Number(settings("TimeoutStopSec")[0])).toBeGreaterThanOrEqual(2 * 25 + 5 + 2) // sources, steps, HTTP, telemetry
    expect(settings("KillMode")).toEqual(["mixed"])
  })

  it("starts no server of its own when none is named, and is tried again", async () => {
    const { code, stderr } = await up([], { ...environment, NATS_URL: "" })
    expect(stderr).toContain("Set NATS_URL")
    expect(code).toBe(1)
    expect(settings("Restart")).toEqual(["always"])
    expect(settings("RestartPreventExitStatus")).not.toContain(String(code))
  })

  it("is not tried again with a command line that cannot be right", async () => {
    const { code } = await up(["--prot", "4300"], {})
    expect(settings("RestartPreventExitStatus")).toContain(String(code))
  })
})

const paths = (): string[] => [join(root, "test/fixtures/scaled.ts")]

const up = (args: readonly string[], env: NodeJS.ProcessEnv): Promise<RunResult> =>
  run(process.execPath, [MAIN, "up", ...paths(), ...args], { env: { ...process.env, ...env } })
