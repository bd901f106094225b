import { X509Certificate } from "node:crypto"
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { startTestServer } from "../support/nats-server.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"

const AGENTS = resolve(import.meta.dirname, "../fixtures/counting.ts")
const SEED = /S[UAO][A-Z2-7]{56}/

interface Told {
  readonly files: { readonly file: string; readonly action: "written" | "kept" }[]
}

const folders: string[] = []
let dir: string
beforeAll(buildCli)
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), "murmur-auth-")), "auth")
  folders.push(dir)
})
afterAll(() => {
  for (const folder of folders) rmSync(join(folder, ".."), { recursive: true, force: true })
})

const auth = (...args: string[]) => murmur(["auth", ...args, "--dir", dir, "--json"])
const written = (told: Told): string[] =>
  told.files.flatMap(({ file, action }) => (action === "written" ? [basename(file)] : []))
const include = (): string => readFileSync(join(dir, "auth.conf"), "utf8")

test("what init and add-node make is kept when they run again; no secret is printed or readable by others", async () => {
  const first = await auth("init", "--tls", "nats.example.com")
  const made = ["auth.conf", "sys.nk", "deployer.nk", "operator.nk"]
  const certificates = ["ca.pem", "ca.key", "server.pem", "server.key", "tls.conf"]
  expect(written(jsonOf(first))).toEqual([...made, ...certificates])
  const node = await auth("add-node", "web", AGENTS)
  expect(written(jsonOf(node))).toEqual(["web.nk", "auth.conf"])
  const before = include()
  expect(written(jsonOf(await auth("init", "--tls", "nats.example.com")))).toEqual([])
  expect(written(jsonOf(await auth("add-node", "web", AGENTS)))).toEqual([])
  expect(include()).toBe(before)
  for (const { stdout, stderr } of [first, node]) expect(stdout + stderr).not.toMatch(SEED)
  for (const file of readdirSync(dir)) {
    const holdsSecret = /\.(nk|key|creds)$/.test(file)
    if (holdsSecret && process.platform !== "win32") expect(statSync(join(dir, file)).mode & 0o777, file).toBe(0o600)
    if (!holdsSecret) expect(readFileSync(join(dir, file), "utf8")).not.toMatch(SEED)
  }
})

test("fewer agents are fewer rights, under the same key", async () => {
  await auth("init")
  await auth("add-node", "web", AGENTS)
  const key = readFileSync(join(dir, "web.nk"), "utf8")
  expect(include()).toContain("murmur.ses.ledger.>")
  const again = await auth("add-node", "web", AGENTS, "--agents", "work*,summer")
  expect(written(jsonOf(again))).toEqual(["auth.conf"])
  expect(include()).not.toContain("murmur.ses.ledger.>")
  expect(include()).toContain("murmur.ses.summer.>")
  expect(readFileSync(join(dir, "web.nk"), "utf8")).toBe(key)
  const unknown = await auth("add-node", "web", AGENTS, "--agents", "ledgre")
  expect([unknown.code, errorOf(unknown).code]).toEqual([1, "AGENT_UNKNOWN"])
  expect(errorOf(unknown).message).toContain("ledger")
})

test("credentials that are signed are small, and the same include comes out twice", async () => {
  await auth("init", "--jwt")
  expect(written(jsonOf(await auth("add-node", "web", AGENTS)))).toEqual(["web.creds", "auth.conf"])
  const before = include()
  expect(written(jsonOf(await auth("add-node", "web", AGENTS)))).toEqual([])
  expect(written(jsonOf(await auth("init", "--jwt")))).toEqual([])
  expect(include()).toBe(before)
  // a client sends them in one line, and servers take lines of 4 KiB
  expect(statSync(join(dir, "web.creds")).size).toBeLessThan(2_048)
  const expiring = await auth("add-node", "web", AGENTS, "--expires", "24")
  expect(written(jsonOf(expiring))).toEqual(["web.creds"])
  const [, claims = ""] = /eyJ[\w-]+\.([\w-]+)\./.exec(readFileSync(join(dir, "web.creds"), "utf8")) ?? []
  const { exp, iat } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { exp: number; iat: number }
  expect(Math.abs(exp - iat - 86_400)).toBeLessThan(60)
})

test("a certificate is for the names that were asked for, and is made anew for others by the same authority", async () => {
  await auth("init", "--tls", "nats.example.com,10.0.0.7")
  const read = (file: string): X509Certificate => new X509Certificate(readFileSync(join(dir, file)))
  const first = read("server.pem")
  expect(first.checkIssued(read("ca.pem")) && first.verify(read("ca.pem").publicKey)).toBe(true)
  for (const name of ["nats.example.com", "localhost"]) expect(first.checkHost(name)).toBe(name)
  for (const address of ["10.0.0.7", "127.0.0.1"]) expect(first.checkIP(address)).toBe(address)
  expect(first.checkHost("other.example.com")).toBeUndefined()
  const again = await auth("init", "--tls", "other.example.com")
  expect(written(jsonOf(again))).toEqual(["server.pem", "server.key"])
  expect(read("server.pem").checkHost("other.example.com")).toBe("other.example.com")
  const wrong = await auth("init", "--tls", "not a host")
  expect(errorOf(wrong)).toMatchObject({ code: "AUTH_HOST" })
})

test("what does not fit is said, and nothing is overwritten", async () => {
  expect(errorOf(await auth("add-node", "web", AGENTS))).toMatchObject({ code: "AUTH_FOLDER" })
  await auth("init")
  expect(errorOf(await auth("init", "--jwt"))).toMatchObject({ code: "AUTH_FOLDER" })
  expect(errorOf(await murmur(["auth", "init", "--mesh", "other", "--dir", dir, "--json"]))).toMatchObject({
    code: "AUTH_FOLDER",
    message: expect.stringContaining("murmur"),
  })
  expect(errorOf(await auth("add-node", "deployer", AGENTS))).toMatchObject({ code: "AUTH_USER" })
  expect(errorOf(await auth("add-node", "No Name", AGENTS))).toMatchObject({ code: "AUTH_USER" })
  expect(errorOf(await auth("rotate", "nobody"))).toMatchObject({ code: "AUTH_USER" })
  expect(errorOf(await auth("revoke", "deployer"))).toMatchObject({ code: "AUTH_USER" })
  expect(errorOf(await auth("rotate", "deployer", "--now", "--pid", "999999999"))).toMatchObject({
    code: "AUTH_RELOAD",
  })
  writeFileSync(join(dir, "identities.json"), "{}")
  expect(errorOf(await auth("init"))).toMatchObject({ code: "AUTH_FOLDER" })
})

test("check tells what a server's rights lack, have too many, and what is not deployed", async () => {
  await auth("init")
  await auth("add-node", "web", AGENTS, "--agents", "worker")
  const config = `include ${JSON.stringify(join("..", basename(join(dir, "..")), "auth", "auth.conf"))}`
  const server = await startTestServer({ config })
  try {
    const check = async (...args: string[]) => {
      const { code, stdout } = await auth("check", ...args, "--nats", server.url)
      return { code, finding: (JSON.parse(stdout) as Record<string, unknown[]>[])[0] }
    }
    const bare = await check()
    expect(bare).toMatchObject({ code: 1, finding: { user: "web", ok: false, missing: [], extra: [] } })
    expect(bare.finding?.undeployed).toContain('consumer "worker" on murmur_EVENTS')
    const login = ["--nats", server.url, "--nkey", join(dir, "deployer.nk")]
    const deployed = await murmur(["deploy", AGENTS, "--yes", "--layout", "agent", ...login])
    expect(deployed.code, deployed.stderr).toBe(0)
    expect(await check()).toMatchObject({ code: 0, finding: { ok: true, undeployed: [] } })
    const more = await check("web", AGENTS, "--agents", "worker,ledger")
    expect(more).toMatchObject({ code: 1, finding: { ok: false, extra: [] } })
    expect(more.finding?.missing).toContain("murmur.ses.ledger.>")
    const catalogue = await murmur(["auth", "add-node", "api", "--agents", "ledger", "--dir", dir, "--json", ...login])
    expect(jsonOf<{ hosts: string[] }>(catalogue).hosts).toEqual(["ledger"])
    unlinkSync(join(dir, "web.nk"))
    expect((await check("web")).finding).toMatchObject({ ok: false })
    expect(existsSync(join(dir, "api.nk"))).toBe(true)
  } finally {
    await server.stop()
  }
}, 90_000) // nine processes, one after the other
