import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { startToken } from "./liveness.js"
import { findRunningServer } from "./running.js"

let dir = ""
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "murmur-running-"))
})
afterEach(() => rmSync(dir, { recursive: true }))

const write = (state: unknown): void => writeFileSync(join(dir, "server.json"), JSON.stringify(state))
const facts = { url: "nats://127.0.0.1:4222", pid: process.pid, version: "2.15.1" }

test("a server whose process lives is found, with what a command needs of it", async () => {
  write({ ...facts, pidToken: startToken(process.pid), guardPid: 1, ownerPid: 1 })
  expect(await findRunningServer(dir)).toEqual({ ...facts, monitorUrl: undefined })
})

test("a server whose process has ended, or whose id a later process has got, is not found", async () => {
  const ended = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }))
  write({ ...facts, pid: ended })
  expect(await findRunningServer(dir)).toBeUndefined()
  if (startToken(process.pid) === undefined) return
  write({ ...facts, pidToken: "1" })
  expect(await findRunningServer(dir)).toBeUndefined()
})

test("no folder, no file, half a file, and something else are no server", async () => {
  expect(await findRunningServer(join(dir, "none"))).toBeUndefined()
  expect(await findRunningServer(dir)).toBeUndefined()
  writeFileSync(join(dir, "server.json"), '{"url":')
  expect(await findRunningServer(dir)).toBeUndefined()
  write({ hello: "world" })
  expect(await findRunningServer(dir)).toBeUndefined()
  write(null)
  expect(await findRunningServer(dir)).toBeUndefined()
})
