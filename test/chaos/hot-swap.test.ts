import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { until } from "../support/mesh.js"
import { Bank, FIXTURE } from "./support/bank.js"
import { sized } from "./support/scale.js"

let bank: Bank
let folder: string
afterEach(async () => {
  await bank?.close()
  rmSync(folder, { recursive: true, force: true })
})

test("agents whose code is swapped under load go on where they were: nothing is missed, no step runs twice", {
  timeout: 300_000,
}, async () => {
  folder = mkdtempSync(join(tmpdir(), "murmur-swap-"))
  const file = join(folder, "bank.ts")
  const source = readFileSync(FIXTURE, "utf8")
  const write = (version: number): void => writeFileSync(file, source.replace("code: BANK_CODE", `code: "${version}"`))
  write(1)
  bank = await Bank.open({ env: { CALL_MS: "20" } })
  const node = await bank.startNode({}, ["--no-http", "--watch"], file)
  const versions = sized(3, 12)
  for (let version = 1; version <= versions; version++) {
    write(version)
    const before = (await bank.countOf("bank.receipt")) ?? 0
    await bank.pay(200)
    await until("it works", async () => ((await bank.countOf("bank.receipt")) ?? 0) > before + 50)
    if (version > 1) await until("it is swapped", () => swaps(node.stderr()) >= version - 1)
  }
  const { teller } = await bank.check({ withinMs: 60_000 })
  expect(bank.paidTwice()).toBe(0)
  const receipts = teller.outputs.filter(({ type }) => type === "bank.receipt")
  const spoken = new Map(receipts.map(({ causationid, data }) => [causationid, (data as { code: string }).code]))
  expect([...new Set(spoken.values())]).toEqual(expect.arrayContaining(["1", String(versions)]))
  const versionOf = new Map<string, string>()
  for (const { cause, code } of [...teller.sessions.values()].flat()) {
    const said = spoken.get(cause.id) ?? ""
    expect(versionOf.get(code) ?? said, "one version of the code, one mark in its commits").toBe(said)
    versionOf.set(code, said)
  }
  expect(await node.terminate()).toBe(0)
})

const swaps = (log: string): number => log.split("swapped edited code in").length - 1
