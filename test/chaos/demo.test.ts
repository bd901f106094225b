import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { openBus } from "../../src/bus/bus.js"
import { readAllMessages } from "../../src/node/audit/read.js"
import { planChaos } from "../../src/node/chaos/plan.js"
import type { ChaosReport } from "../../src/node/chaos/report.js"
import { buildCli, cliEnv, errorOf, jsonOf, MAIN, murmur } from "../cli/support/cli.js"
import { until } from "../support/mesh.js"

let folder: string
beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-demo-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** `murmur chaos` with a temporary folder of its own. */
function start(name: string, ...args: string[]): { child: ChildProcess; temp: string; stderr(): string } {
  const temp = mkdtempSync(join(folder, `${name}-`))
  const child = spawn(process.execPath, [MAIN, "chaos", ...args], {
    env: cliEnv({ TMPDIR: temp }),
    stdio: ["ignore", "ignore", "pipe"],
  })
  let stderr = ""
  child.stderr?.on("data", (chunk) => {
    stderr += String(chunk)
  })
  return { child, temp, stderr: () => stderr }
}

/** Processes that were started below a temporary folder, by what they were told. */
function processesOf(temp: string): string[] {
  if (!existsSync("/proc/self/environ")) return []
  return readdirSync("/proc").filter((pid) => {
    try {
      if (!/^\d+$/.test(pid)) return false
      return ["cmdline", "environ"].some((file) => readFileSync(`/proc/${pid}/${file}`, "utf8").includes(temp))
    } catch {
      return false // gone, or somebody else's
    }
  })
}

async function expectNothingLeft(temp: string): Promise<void> {
  await until("all its processes are gone", () => processesOf(temp).length === 0)
  expect(readdirSync(temp)).toEqual([])
}

describe.concurrent("murmur chaos", () => {
  test("holds every promise while nodes and the server are struck, and leaves nothing behind", {
    timeout: 90_000,
  }, async () => {
    const temp = mkdtempSync(join(folder, "whole-"))
    const args = ["--seed", "3", "--kills", "1", "--events", "120", "--seconds", "4", "--json"]
    const report = jsonOf<ChaosReport>(await murmur(["chaos", ...args], { env: { TMPDIR: temp }, timeoutMs: 80_000 }))
    expect(report).toMatchObject({
      ...{ seed: 3, kills: 1, pauses: 1, serverKills: 1, lost: 0, doubled: 0, outOfOrder: 0, deadLetters: 0 },
      ...{ events: { accepted: 120 }, effects: { wanted: 120, stored: 120 }, broken: [] },
    })
    expect(report.strikes).toEqual(planChaos({ seed: 3, kills: 1, events: 120, forMs: 4_000 }).strikes)
    const { calls, steps, duplicates } = report
    expect(calls).toMatchObject({ wanted: 240, made: 240 + calls.inFlight, again: 0 })
    expect(steps.began).toBe(120 + steps.again)
    expect(duplicates.dropped + duplicates.stored).toBeGreaterThan(5)
    await expectNothingLeft(temp)
  })

  test("sees a log that somebody has tampered with, and fails", { timeout: 90_000 }, async () => {
    const { child, temp, stderr } = start("tampered", "--kills", "0", "--events", "150", "--seconds", "3")
    const gone = once(child, "exit")
    await until("it says where its mesh is", () => /runs at (\S+)/.test(stderr()))
    const bus = await openBus({ url: /runs at (\S+)/.exec(stderr())?.[1] ?? "", name: "tamperer" })
    try {
      let commits: Awaited<ReturnType<typeof readAllMessages>> = []
      await until("something is committed", async () => {
        commits = await readAllMessages(bus, bus.names.sessionsOf("any"), ">").catch(() => [])
        return commits.length > 0
      })
      const [first] = commits
      if (first !== undefined) await bus.publisher.append(first.subject, first.data)
    } finally {
      await bus.close()
    }
    expect((await gone)[0]).toBe(1)
    expect(stderr()).toMatch(/promises? did not hold: .*doubled/)
    await expectNothingLeft(temp)
  })

  test("cleans up when it is interrupted, also when it is killed", { timeout: 90_000 }, async () => {
    for (const [signal, code] of [
      ["SIGINT", 1],
      ["SIGKILL", null],
    ] as const) {
      const { child, temp, stderr } = start(signal.toLowerCase(), "--kills", "8", "--seconds", "14")
      const gone = once(child, "exit")
      const struck = (): boolean => /SIG(KILL|STOP) to chaos/.test(stderr())
      await until("a node was killed or stopped", struck, 40_000).catch((cause) => {
        throw new Error(`No node was struck: ${stderr()}`, { cause })
      })
      child.kill(signal)
      expect((await gone)[0]).toBe(code)
      await until("all its processes are gone", () => processesOf(temp).length === 0)
      if (signal === "SIGINT") await expectNothingLeft(temp)
    }
  })

  test("wrong numbers are wrong usage", async () => {
    const wrong = await murmur(["chaos", "--kills", "many", "--json"])
    expect([wrong.code, errorOf(wrong).code]).toEqual([2, "USAGE"])
  })
})
