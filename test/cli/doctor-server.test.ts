import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { type AddressInfo, connect as connectTo, createServer as createTcpServer } from "node:net"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeAll, expect, test } from "vitest"
import { defineAgent } from "../../src/agents/define-agent.js"
import { openBus } from "../../src/bus/bus.js"
import { applyPlan, planDeployment } from "../../src/node/deployment/deploy.js"
import { testBinary } from "../support/binary.js"
import { testCertificates } from "../support/certificates.js"
import { startTestCluster } from "../support/nats-cluster.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { startSecuredMesh } from "../support/secured-mesh.js"
import { buildCli, murmur } from "./support/cli.js"

interface Check {
  check: string
  ok: boolean
  detail: string
  fix: string | null
}

beforeAll(buildCli, 120_000)

const closing: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function server(config = ""): Promise<TestServer> {
  const started = await startTestServer({ config })
  closing.push(() => started.stop())
  return started
}

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "murmur-doctor-"))
  closing.push(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

async function deployed(url: string, replicas?: 1 | 3): Promise<void> {
  const bus = await openBus({ url, name: "test" })
  closing.push(() => bus.close())
  const options = { agents: [], sources: [], ...(replicas && { retention: { replicas } }) }
  await applyPlan(await planDeployment(bus, options), AbortSignal.timeout(30_000))
}

/** What the doctor says of some things. */
async function doctor(env: NodeJS.ProcessEnv, ...args: string[]) {
  const { stdout, stderr } = await murmur(["doctor", "--json", ...args], {
    env: { NATS_SERVER_BIN: testBinary(), ...env },
  })
  const checks = JSON.parse(stdout) as Check[]
  return { checks, stderr, of: (name: string) => checks.find(({ check }) => check === name) }
}

test("a connection to another machine that is not encrypted is a finding; one that is encrypted is none", async () => {
  const dir = folder()
  const { ca, server: own } = await testCertificates("localhost", "client")
  for (const [name, text] of Object.entries({ ca, cert: own.cert, key: own.key })) writeFileSync(join(dir, name), text)
  const plain = await server()
  expect((await doctor({ NATS_URL: plain.url })).of("tls")).toMatchObject({
    ok: true,
    detail: expect.stringContaining("this machine"),
  })
  const secure = await server(`tls { cert_file: "${join(dir, "cert")}", key_file: "${join(dir, "key")}" }`)
  const trusted = await doctor({ NATS_URL: secure.url, NATS_CA: join(dir, "ca") })
  expect(trusted.of("tls")).toMatchObject({ ok: true, detail: expect.stringContaining("is encrypted") })
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)
  if (outside === undefined) return // a machine without a network has no other address
  const proxy = createTcpServer((socket) => {
    const onward = connectTo(plain.port, "127.0.0.1")
    for (const end of [socket, onward]) end.on("error", () => {})
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => proxy.listen(0, outside.address, resolve))
  closing.push(() => proxy.close())
  const url = `nats://${outside.address}:${(proxy.address() as AddressInfo).port}`
  const found = (await doctor({ NATS_URL: url })).of("tls")
  expect(found).toMatchObject({ ok: false, fix: expect.stringContaining("murmur auth init --tls") })
})

test("a password in the url, small messages and an account that is nearly used up are findings", async () => {
  const users = `users: [{ user: ann, password: "s3cret" }]`
  const limited = await server(`max_payload: 100KB\naccounts { A { jetstream { max_streams: 25 }, ${users} } }`)
  const url = `nats://ann:s3cret@127.0.0.1:${limited.port}`
  await deployed(url)
  const { of, checks } = await doctor({ NATS_URL: url })
  expect(of("login")).toMatchObject({ ok: false, fix: expect.stringContaining("--nkey") })
  expect(JSON.stringify(checks)).not.toContain("s3cret")
  expect(of("payload")).toMatchObject({ ok: false, detail: expect.stringContaining("100 KiB") })
  expect(of("jetstream")).toMatchObject({ ok: true })
  const bus = await openBus({ url, name: "test" })
  closing.push(() => bus.close())
  for (let n = 0; n < 4; n++) await bus.link.manager.streams.add({ name: `more${n}`, subjects: [`more${n}`] })
  expect((await doctor({ NATS_URL: url })).of("jetstream")).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/streams: \d+ of 25/),
  })
})

test("servers are asked at their monitoring addresses: how they sync, how many are connected, whether they answer", async () => {
  const seldom = await server("max_connections: 3")
  const { of } = await doctor({ NATS_URL: seldom.url }, "--monitor", seldom.monitorUrl)
  expect(of("sync interval")).toMatchObject({ ok: false, detail: expect.stringContaining(seldom.monitorUrl) })
  expect(of("connections")).toBeUndefined()
  const buses = await Promise.all([1, 2].map(() => openBus({ url: seldom.url, name: "test" })))
  for (const bus of buses) closing.push(() => bus.close())
  const gone = "http://127.0.0.1:9"
  const full = await doctor({ NATS_URL: seldom.url }, "--monitor", `${seldom.monitorUrl},${gone}`)
  expect(full.of("connections")).toMatchObject({ ok: false, detail: expect.stringContaining("3 of 3") })
  expect(full.of("monitor")).toMatchObject({ ok: false, detail: `no answer: ${gone}` })
  const always = await startTestServer({ sync: "always" })
  closing.push(() => always.stop())
  const { of: told } = await doctor({ NATS_URL: always.url }, "--monitor", always.monitorUrl)
  expect(told("sync interval")).toMatchObject({ ok: true, detail: expect.stringContaining("always") })
})

test("a node's identity is measured by what the agents of files need", async () => {
  const dir = folder()
  const write = (emits: string): void =>
    writeFileSync(
      join(dir, "agent.ts"),
      `import { defineAgent, defineEvent } from "murmur"
       import { z } from "zod"
       const Made = defineEvent("${emits}", z.object({}))
       export default defineAgent("worker", { on: ["note.added"], emits: [Made], handle() {} })`,
    )
  const worker = defineAgent("worker", { on: ["note.added"], emits: [], handle() {} })
  const mesh = await startSecuredMesh({ node: { hosted: { agents: [worker] } } })
  closing.push(() => mesh.stop())
  const node = await mesh.start("node", { id: "node-1" })
  const env = { NATS_URL: mesh.server.url, NATS_NKEY: mesh.seedFile("node"), MURMUR_MESH: mesh.mesh }
  write("note.summed")
  const more = await doctor(env, dir)
  expect(more.of("rights")).toMatchObject({
    ok: false,
    detail: expect.stringContaining("test.ev.worker.*.note.summed"),
  })
  expect(more.of("nodes")).toMatchObject({ ok: true, detail: expect.stringContaining(node.id) })
  expect(more.of("streams")).toBeUndefined()
  const unnamed = await doctor(env)
  expect(unnamed.of("rights")).toMatchObject({ ok: true, detail: expect.stringContaining("may not make streams") })
  const deployer = await doctor({ ...env, NATS_NKEY: mesh.seedFile("deployer") })
  expect(deployer.of("rights")).toMatchObject({ ok: true, detail: "may make streams and consumers" })
  expect(mesh.violations()).toEqual([])
})

test("on a cluster one copy is a finding, and three are none", async () => {
  const cluster = await startTestCluster()
  closing.push(() => cluster.stop())
  await deployed(cluster.url, 1)
  const one = (await doctor({ NATS_URL: cluster.url })).of("copies")
  expect(one).toMatchObject({ ok: false, fix: "murmur deploy --replicas 3" })
  await deployed(cluster.url, 3)
  expect((await doctor({ NATS_URL: cluster.url })).of("copies")).toMatchObject({ ok: true, detail: "3 of everything" })
}, 90_000)

test("a collector that does not answer, or refuses, is a finding", async () => {
  let status = 200
  const asked: string[] = []
  const collector: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.writeHead(status).end()
  })
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
  closing.push(() => collector.close())
  const dir = folder()
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
  const at = (url: string) => doctor({ MURMUR_DIR: dir, OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_LOGS_EXPORTER: "none" })
  expect((await at(endpoint)).of("telemetry")).toMatchObject({ ok: true })
  expect(asked.sort()).toEqual(["POST /v1/metrics", "POST /v1/traces"])
  status = 503
  expect((await at(endpoint)).of("telemetry")).toMatchObject({
    ok: false,
    detail: expect.stringContaining("answers 503"),
  })
  const nobody = (await at("http://127.0.0.1:9")).of("telemetry")
  expect(nobody).toMatchObject({ ok: false, fix: expect.stringContaining("OTEL_EXPORTER_OTLP_ENDPOINT") })
  expect((await doctor({ MURMUR_DIR: dir })).of("telemetry")).toBeUndefined()
})
