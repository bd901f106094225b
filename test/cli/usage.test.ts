import { beforeAll, expect, test } from "vitest"
import { buildCli, errorOf, murmur } from "./support/cli.js"

beforeAll(buildCli, 120_000)

const COMMANDS = [
  ...["up", "publish", "tail", "trace", "events", "agents", "nodes", "routes", "route add", "route rm"],
  ...[
    "dead ls",
    "dead show",
    "dead retry",
    "dead drop",
    "guard ls",
    "guard resume",
    "guard limits",
    "models ls",
    "models pull",
    "models ask",
    "pause",
    "resume",
    "init",
    "new agent",
    "doctor",
  ],
]

test("Help names every command and ends well", async () => {
  const { code, stdout } = await murmur(["--help"])
  expect(code).toBe(0)
  for (const command of COMMANDS) expect(stdout).toContain(`  ${command}`)
})

test("Without a command the help goes to standard error and the usage was wrong", async () => {
  const { code, stdout, stderr } = await murmur([])
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
  expect(stderr).toContain("Usage: murmur <command>")
})

test("Each command has help of its own, asked for in either way", async () => {
  const { code, stdout } = await murmur(["route", "add", "--help"])
  expect(code).toBe(0)
  for (const part of ["Usage: murmur route add <pattern>", "--filter <json>", "--mesh <name>"])
    expect(stdout).toContain(part)
  expect((await murmur(["help", "publish"])).stdout).toBe((await murmur(["publish", "-h"])).stdout)
  expect((await murmur(["dead", "--help"])).stdout).toContain("dead retry [ids...]")
})

test("The version is the package's", async () => {
  expect((await murmur(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test("Wrong usage ends with 2, a sentence on standard error, and nothing on standard output", async () => {
  const { code, stdout, stderr } = await murmur(["publish", "a.b", "--nope"])
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" })
  expect(stderr).toBe("murmur: unknown option --nope\n")
})

test("With --json the last line of an error is an object with code and message", async () => {
  const result = await murmur(["tail", "--count", "many", "--json"])
  expect(result.code).toBe(2)
  expect(errorOf(result)).toEqual({ code: "USAGE", message: '--count must be a whole number >= 1, is "many"' })
})

test("Without a mesh in this folder a command ends with 1 and says how to start one", async () => {
  const result = await murmur(["agents", "--json"], { env: { MURMUR_DIR: "/nonexistent/.murmur" } })
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "MESH_NOT_RUNNING", message: expect.stringContaining("murmur up") })
})

test("When nobody listens at the address a command ends with 1 and names it", async () => {
  const result = await murmur(["agents", "--json", "--nats", "nats://127.0.0.1:1"])
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "BUS_CONNECT", message: expect.stringContaining("127.0.0.1:1") })
})
