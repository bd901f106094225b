import { writeFileSync } from "node:fs"
import { ensureServerBinary } from "../src/bus/server/index.js"
import { BINARY_VARIABLE } from "../test/support/binary.js"
import { startTestServer, type TestServer } from "../test/support/nats-server.js"
import { measureBullmq } from "./measures/bullmq.js"
import { measureCliStart } from "./measures/cli-start.js"
import { measureDuplicates } from "./measures/duplicates.js"
import { measureFanOut } from "./measures/fan-out.js"
import { measureFold } from "./measures/fold.js"
import { type Latency, measureLatency } from "./measures/latency.js"
import { measureMemory } from "./measures/memory.js"
import { measureMinds } from "./measures/minds.js"
import { measureNodes } from "./measures/nodes.js"
import { profileVariant } from "./measures/profile.js"
import { measureRecovery } from "./measures/recovery.js"
import { measureRoutes } from "./measures/routes.js"
import { type Calls, measureCalls, measureState } from "./measures/state.js"
import { measureThroughput, type Throughput } from "./measures/throughput.js"
import { RATIOS, VARIANTS } from "./measures/variants.js"
import { aimsOf } from "./report/aims.js"
import { renderMarkdown } from "./report/markdown.js"
import type { Results, Sync } from "./report/results.js"
import { type BenchOptions, type Part, readOptions } from "./support/args.js"
import { startChild } from "./support/child.js"
import { describeMachine } from "./support/machine.js"

/** From bench/dist/bench to bench. */
const OUTPUT = new URL("../../", import.meta.url)

const options = readOptions(process.argv.slice(2))
if (options !== undefined) await main(options)
process.exit(process.exitCode ?? 0)

async function main(wanted: BenchOptions): Promise<void> {
  const began = performance.now()
  const { path } = await ensureServerBinary()
  process.env[BINARY_VARIABLE] = path
  const machine = describeMachine(path)
  const sink = startChild("otlp-sink", {})
  try {
    const otlpUrl = `${(await sink.next<{ url: string }>()).url}/v1/traces`
    const plain = await withServer("default", (server) => measurePlain(wanted, server, otlpUrl))
    const always = await withServer("always", (server) => measureBothSyncs(wanted, server, otlpUrl, "always"))
    const nodes = await part(wanted, "nodes", "", () => measureNodes({ long: wanted.long, say }))
    const bullmq = wanted.long ? await measureBullmq({ rounds: 3, events: 12_000, warmup: 4_000, say }) : undefined
    finish(wanted, {
      date: wanted.date,
      command: wanted.command,
      seconds: (performance.now() - began) / 1_000,
      machine,
      ...plain,
      throughput: { default: plain.throughput, always: always.throughput },
      latency: { default: plain.latency, always: always.latency },
      state: { default: plain.state, always: always.state },
      calls: { default: plain.calls, always: always.calls },
      nodes,
      bullmq,
    })
  } finally {
    await sink.stop()
  }
}

interface BothSyncs {
  readonly throughput: Throughput | undefined
  readonly latency: Latency | undefined
  readonly state: Throughput | undefined
  readonly calls: Calls | undefined
}

async function measureBothSyncs(
  wanted: BenchOptions,
  server: TestServer,
  otlpUrl: string,
  sync: Sync,
): Promise<BothSyncs> {
  const { url, pid: serverPid } = server
  const load =
    sync === "default" ? { events: 22_000, warmup: 7_000, rounds: 4 } : { events: 3_600, warmup: 1_200, rounds: 3 }
  const rounds = load.rounds * (wanted.long ? 3 : 1)
  const throughput = await part(wanted, "throughput", `sync ${sync}`, () =>
    measureThroughput({ url, serverPid, otlpUrl, variants: VARIANTS, ratios: RATIOS, ...load, rounds, say }),
  )
  const variants = wanted.long || sync === "default" ? (["c", "d"] as const) : (["c"] as const)
  const latency = await part(wanted, "latency", `sync ${sync}`, () =>
    measureLatency({ url, otlpUrl, variants, rounds: wanted.long ? 7 : 3, rate: 200, samples: 400, say }),
  )
  const state = await part(wanted, "state", `sync ${sync}`, () =>
    measureState({ url, serverPid, ...stateLoad(sync), rounds, say }),
  )
  const calls = await part(wanted, "calls", `sync ${sync}`, () =>
    measureCalls({ url, serverPid, ...callLoad(sync), rounds: wanted.long ? 6 : 2, say }),
  )
  return { throughput, latency, state, calls }
}

/** Steps with a commit and an output each. */
function stateLoad(sync: Sync): { events: number; warmup: number } {
  return sync === "default" ? { events: 14_000, warmup: 5_000 } : { events: 2_400, warmup: 800 }
}

/** Steps of 20 calls each. */
function callLoad(sync: Sync): { events: number; warmup: number } {
  return sync === "default" ? { events: 400, warmup: 150 } : { events: 120, warmup: 40 }
}

type Once = "fanOut" | "minds" | "fold" | "recovery" | "duplicates" | "cli" | "memory" | "routes" | "profile"

/** What is measured once, on the server with its default sync, and what is measured with both. */
async function measurePlain(
  wanted: BenchOptions,
  server: TestServer,
  otlpUrl: string,
): Promise<BothSyncs & Pick<Results, Once>> {
  const { url } = server
  const { long } = wanted
  const both = await measureBothSyncs(wanted, server, otlpUrl, "default")
  const fanOut = await part(wanted, "fan-out", "", () =>
    measureFanOut({ url, rounds: long ? 5 : 2, events: 2_400, say }),
  )
  const fold = await part(wanted, "fold", "", () => measureFold({ url, commits: 10_000, runs: long ? 15 : 6, say }))
  const recovery = await part(wanted, "recovery", "", () => measureRecovery({ url, runs: long ? 20 : 4, say }))
  const duplicates = await part(wanted, "duplicates", "", () =>
    measureDuplicates({ url, serverPort: server.port, faults: long ? 50_000 : 10_000, say }),
  )
  const minds = await part(wanted, "minds", "", () => measureMinds({ rounds: long ? 9 : 3, say }))
  const cli = await part(wanted, "cli", "", () => measureCliStart({ url, runs: long ? 60 : 20, say }))
  const memory = await part(wanted, "memory", "", () =>
    measureMemory({ url, handleKeys: [10_000, 100_000], reactKeys: 10_000, say }),
  )
  const routes = await part(wanted, "routes", "", () => measureRoutes([10, 10_000], long ? 5 : 3, 50))
  const profile = await part(wanted, "profile", "", async () => {
    const spotsOf = (variant: "c" | "d" | "f") => profileVariant(variant, { url, otlpUrl, events: 30_000, count: 15 })
    return { c: await spotsOf("c"), d: await spotsOf("d"), f: await spotsOf("f") }
  })
  return { ...both, fanOut, fold, recovery, duplicates, minds, cli, memory, routes, profile: profile ?? {} }
}

async function withServer<T>(sync: Sync, work: (server: TestServer) => Promise<T>): Promise<T> {
  const server = await startTestServer({ sync })
  try {
    return await work(server)
  } finally {
    await server.stop()
  }
}

async function part<T>(
  wanted: BenchOptions,
  name: Part,
  what: string,
  measure: () => Promise<T>,
): Promise<T | undefined> {
  if (!wanted.only.has(name)) return undefined
  say(`${name} ${what}`.trim())
  const began = performance.now()
  const found = await measure()
  say(`  took ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  return found
}

function finish({ write }: BenchOptions, results: Results): void {
  for (const { what, found, met } of aimsOf(results))
    say(`${met ? "met   " : "MISSED"} ${what}: ${found.toPrecision(3)}`)
  if (!write) return
  writeFileSync(new URL("results.json", OUTPUT), `${JSON.stringify(results, undefined, 2)}\n`)
  writeFileSync(new URL("RESULTS.md", OUTPUT), renderMarkdown(results))
  say(`bench/RESULTS.md and bench/results.json are written (${Math.round(results.seconds)} s)`)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
