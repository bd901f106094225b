import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { silentLog } from "../../telemetry/ports.js"
import type { Ended } from "./run-program.js"
import { type ShellOptions, shell } from "./shell.js"

let cwd: string
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "murmur-shell-"))
})
afterAll(() => rmSync(cwd, { recursive: true, force: true }))

async function run(
  words: string[],
  options: Partial<ShellOptions> = {},
  signal = new AbortController().signal,
): Promise<Ended> {
  const tool = shell({ allow: ["sh", "node", "echo", "git log"], cwd, ...options })
  const ctx = { agent: "a", key: undefined, attempt: 1, idempotencyKey: "k", signal, log: silentLog }
  return (await tool.run(tool.input.parse({ program: words[0], args: words.slice(1) }), ctx)) as Ended
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // one that was killed, and that nobody has taken note of yet
    return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

describe("a program", () => {
  test("gets its arguments as they are: nothing reads them on the way", async () => {
    const args = ["$HOME", "; touch hacked", "`id`", "a b", "*", "|", "&&", "'", '"']
    expect(await run(["echo", ...args])).toMatchObject({ exitCode: 0, stdout: `${args.join(" ")}\n`, stderr: "" })
  })

  test("finds nothing in its environment but what is given", async () => {
    vi.stubEnv("CANARY_KEY", "do-not-leak-this")
    const print = ["node", "-p", "JSON.stringify(process.env)"]
    expect((await run(print)).stdout).toBe("{}\n")
    expect((await run(print, { env: { LANG: "C" } })).stdout).toBe('{"LANG":"C"}\n')
  })

  test("that fails tells how, and that is an answer", async () => {
    expect(await run(["sh", "-c", "echo no >&2; exit 3"])).toMatchObject({ exitCode: 3, stderr: "no\n", signal: null })
    expect(await run(["sh", "-c", "kill -9 $$"])).toMatchObject({ exitCode: null, signal: "SIGKILL" })
  })

  test("may write more than is kept, and goes on", async () => {
    const loud = ["node", "-e", "process.stdout.write('ü'.repeat(500_000), () => process.exit(7))"]
    const { stdout, truncated, exitCode } = await run(loud, { maxBytes: 1_001 })
    expect([stdout.length, truncated, exitCode]).toEqual([500, true, 7])
  })

  test("that nobody waits for is killed with all that it has started", async () => {
    const stopping = new AbortController()
    const running = run(["sh", "-c", 'trap "" TERM; sleep 60 & echo $! $$ > pids; wait; sleep 60'], {}, stopping.signal)
    const pids = (): number[] => readFileSync(join(cwd, "pids"), "utf8").trim().split(" ").map(Number)
    await expect.poll(() => pids().length, { timeout: 5_000 }).toBe(2)
    stopping.abort(new Error("time is up"))
    await expect(running).rejects.toThrow("time is up")
    await expect.poll(() => pids().filter(isAlive), { timeout: 5_000 }).toEqual([])
  })

  test("leaves nothing running when it ends", async () => {
    const { stdout } = await run(["sh", "-c", "sleep 60 & echo $!"])
    await expect.poll(() => isAlive(Number(stdout)), { timeout: 5_000 }).toBe(false)
  })

  test("is not run any more when nobody waits for it", async () => {
    await expect(run(["echo"], {}, AbortSignal.abort(new Error("over")))).rejects.toThrow("over")
  })
})

describe("the allow-list", () => {
  test.each([
    ["rm", "-rf", "/"],
    ["/bin/sh", "-c", "id"],
    ["./sh"],
    ["../sh"],
    ["SH"],
    ["sh "],
    ["git"],
    ["git", "push"],
    ["git", "-c", "core.pager=id", "log"],
    ["git log"],
    [""],
  ])("refuses %j %j", async (...words) => {
    await expect(run(words)).rejects.toMatchObject({ code: "TOOL_REFUSED" })
  })

  test("refuses arguments that no program can be given", async () => {
    await expect(run(["echo", "a\0b"])).rejects.toMatchObject({ code: "TOOL_REFUSED" })
    await expect(run(["echo", "x".repeat(70_000)])).rejects.toMatchObject({ code: "TOOL_REFUSED" })
  })

  test("finds programs on the node's PATH, and nowhere else", async () => {
    writeFileSync(join(cwd, "mine"), "#!/bin/sh\necho hacked", { mode: 0o755 })
    await expect(run(["mine"], { allow: ["mine"] })).rejects.toMatchObject({ code: "TOOL_SHELL" })
    vi.stubEnv("PATH", ".:relative")
    await expect(run(["mine"], { allow: ["mine"] })).rejects.toMatchObject({ code: "TOOL_SHELL" })
  })
})

test("it is irreversible and may do all that harms, unless somebody says otherwise", () => {
  const careful = { effect: "irreversible", private: true, egress: true, untrusted: true, approval: "untrusted" }
  expect(shell({ allow: ["git"], cwd })).toMatchObject(careful)
  expect(shell({ allow: ["git"], cwd, effect: "read", egress: false })).toMatchObject({ effect: "read", egress: false })
})

test.each<[object, string]>([
  [{ cwd: "." }, "allow must be a list of programs, at least one, is undefined"],
  [{ cwd: ".", allow: [] }, "allow must be a list of programs, at least one, is []"],
  [{ cwd: ".", allow: ["/bin/sh"] }, 'not "/bin/sh"'],
  [{ cwd: ".", allow: ["-x"] }, 'not "-x"'],
  [{ allow: ["git"] }, "cwd must be a folder, is undefined"],
  [{ allow: ["git"], cwd: ".", env: { A: 1 } }, "env must be an object of texts"],
  [{ allow: ["git"], cwd: ".", shell: true }, 'unknown option "shell"'],
])("wrong options %j are refused", (options, said) => {
  expect(() => shell(options as ShellOptions)).toThrow(said)
})
