import { expect, test, vi } from "vitest"
import { ensureError, errorCode } from "../errors.js"
import { COMMANDS } from "./commands.js"
import { commandHelp } from "./help.js"
import { Output } from "./output.js"
import { parseCommandLine } from "./parse.js"

const out = new Output()

/** Runs a command line in this process. @returns why it failed */
async function failureOf(argv: readonly string[]): Promise<{ code: string; message: string }> {
  try {
    const parsed = parseCommandLine(argv)
    if (parsed.ask !== "run") throw new Error(`it asked for ${parsed.ask}`)
    const action = await parsed.command.load()
    await action({ options: parsed.global, out }, parsed.args as never, parsed.options as never)
  } catch (error) {
    return { code: errorCode(error), message: ensureError(error).message }
  }
  throw new Error("it succeeded")
}

function runOf(...argv: string[]): unknown {
  const parsed = parseCommandLine(argv)
  if (parsed.ask !== "run") return parsed.ask
  const { command, args, options, global } = parsed
  return { command: command.name, args, options, json: global.json, mesh: global.mesh }
}

test("Arguments and options are read by the table, wherever they stand", () => {
  const wanted = {
    command: "publish",
    args: ["a.b", undefined],
    options: { key: "k", data: { n: -1 } },
    json: true,
    mesh: "m",
  }
  expect(runOf("publish", "a.b", "--key", "k", "--data", '{"n":-1}', "--json", "--mesh", "m")).toEqual(wanted)
  expect(runOf("--json", "--mesh=m", "publish", "--key=k", '--data={"n":-1}', "a.b")).toEqual(wanted)
  expect(runOf("--mesh", "publish", "events")).toMatchObject({ command: "events", mesh: "publish" })
  expect(runOf("up", "a", "b", "--no-http", "--port", "0")).toMatchObject({
    args: [["a", "b"]],
    options: { noHttp: true, port: 0 },
  })
})

test("A group runs its standard command when none is named", () => {
  expect(runOf("dead", "--json")).toMatchObject({ command: "dead ls", json: true })
  expect(runOf("dead", "ls", "--agent", "a")).toMatchObject({ command: "dead ls", options: { agent: "a" } })
  expect(runOf("route", "--json", "rm", "x")).toMatchObject({ command: "route rm", args: ["x"] })
})

test("An id that begins like an option is an id", () => {
  const id = "-bcdefghijklmnopqrstuv"
  expect(runOf("trace", id, "--json")).toMatchObject({ args: [id], json: true })
  expect(runOf("dead", "retry", "x", id)).toMatchObject({ args: [["x", id]] })
})

test("Asking for help or the version is no run", () => {
  expect(runOf("publish", "-h")).toBe("help")
  expect(runOf("help", "dead", "ls")).toBe("help")
  expect(runOf("-V")).toBe("version")
})

test("Every command's help tells its arguments, its options and those of all commands", () => {
  for (const command of COMMANDS) {
    const text = commandHelp(command)
    expect(text).toContain(`Usage: murmur ${command.name}`)
    for (const { flags } of command.options ?? []) expect(text).toContain(flags)
    expect(text).toContain("--creds <file>")
  }
})

test.each([
  [["frobnicate"], 'there is no command "frobnicate"'],
  [["publsh", "a.b"], 'did you mean "publish"?'],
  [["route"], 'name a command of "route"'],
  [["route", "ad"], 'there is no command "route ad"'],
  [["publish"], "needs <type>"],
  [["publish", "a.b", "--nope"], "unknown option --nope"],
  [["publish", "a.b", "--dat", "{}"], 'did you mean "--data"?'],
  [["publish", "a.b", "--data"], "--data"],
  [["publish", "a.b", "--data", "{oops"], "--data must be JSON"],
  [["publish", "a.b", "data"], "--data <json>"],
  [["publish", "a.b", "--as-data"], "--as-data is for lines"],
  [["publish", "a.b", "-", "--data", "1"], "exclude each other"],
  [["publish", "a.b", "-", "--id", "x"], "--id is for one event"],
  [["publish", "a b"], "as an event type"],
  [["publish", "a.b", "--mesh", "Not A Name"], "Cannot name the mesh"],
  [["tail", "a..b"], "Cannot filter events by the pattern"],
  [["tail", "--since", "soon"], "--since must be how long ago"],
  [["tail", "--count", "0"], "--count must be a whole number >= 1"],
  [["tail", "--from-seq", "1.5"], "--from-seq must be"],
  [["tail", "--since", "1m", "--from-seq", "1"], "exclude each other"],
  [["tail", "a.b", "c.d"], "does not know what to do"],
  [["trace"], "needs <event-id>"],
  [["events", "extra"], "does not know what to do"],
  [["route", "add", "a.b"], "needs --to <agent>"],
  [["route", "add", "a.b", "--to", "x", "--filter", "{"], "--filter must be JSON"],
  [["route", "add", "a.b", "--to", "x", "--priority", "high"], "--priority must be"],
  [["dead", "ls", "--agent", "a.*"], "Cannot name the agent"],
  [["dead", "retry"], "name the ids"],
  [["dead", "retry", "abc", "--all"], "not both"],
  [["dead", "drop", "--all"], "add --yes"],
  [["dead", "drop", "abc"], "add --yes"],
  [["new", "agent", "Bad Name"], "Cannot name the agent"],
  [["up", "--port", "70000"], "--port must be a whole number from 0 to 65535"],
  [["up", "--nats-port", "x"], "--nats-port must be"],
  [["up", "--log-level", "loud"], "--log-level must be one of"],
])("Wrong usage: %j", async (argv, message) => {
  const failure = await failureOf([...argv, "--nats", "nats://127.0.0.1:1"])
  expect(failure).toMatchObject({ code: "USAGE", message: expect.stringContaining(message) })
})

test.each([
  ...[["publish", "a.b"], ["tail"], ["trace", "x"], ["events"], ["agents"], ["nodes"], ["routes"], ["dead", "ls"]],
  ...[
    ["route", "add", "a.b", "--to", "x"],
    ["route", "rm", "x"],
    ["dead", "show", "abc"],
    ["dead", "retry", "abc"],
  ],
  ...[
    ["dead", "drop", "abc", "--yes"],
    ["pause", "x"],
    ["resume", "x"],
  ],
])("Without a mesh in this folder it is said how to start one: %s %s", async (...argv) => {
  vi.stubEnv("MURMUR_DIR", "/nonexistent/.murmur")
  vi.stubEnv("NATS_URL", "")
  const failure = await failureOf(argv.filter((arg) => arg !== undefined))
  expect(failure).toMatchObject({ code: "MESH_NOT_RUNNING", message: expect.stringContaining('"murmur up"') })
})
