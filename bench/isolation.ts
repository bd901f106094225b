/**
 * What `isolation: "worker"` costs: the start of a worker, its memory, a step that does next to nothing, and a
 * journaled call of it (without the journal), each beside the same handler in this process. Prints one JSON value.
 *
 *     npm run build && npx jiti bench/isolation.ts [steps]
 */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { StepContext } from "../src/agents/context.js"
import type { HoldableContext } from "../src/agents/isolation/host-context.js"
import { type IsolatedHandler, isolate } from "../src/agents/isolation/isolate.js"
import { setOrigin } from "../src/agents/isolation/origin.js"
import { seal } from "../src/bus/encode.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { silentLog } from "../src/telemetry/ports.js"
import { Asked, isolated } from "./support/isolated-agent.js"
import { spread } from "./support/stats.js"

const STEPS = Number(process.argv[2] ?? 5_000)
const STARTS = 5
const ROUNDS = 5

type Handle = (event: MurmurEvent, ctx: HoldableContext) => Promise<void> | void

const file = fileURLToPath(new URL("./support/isolated-agent.ts", import.meta.url))
const program = fileURLToPath(new URL("../dist/node/isolation-worker.js", import.meta.url))
setOrigin(isolated, { file, fingerprint: hash("sha256", readFileSync(file), "base64url"), program })

const idle = new AbortController()
const ctx = {
  ...{ agent: "isolated", key: undefined, attempt: 1, previousAttempt: undefined, state: undefined, tools: {} },
  ...{ signal: idle.signal, log: silentLog, emit: () => {}, record: () => {}, random: Math.random },
  now: () => new Date(),
  run: async (_: string, work: () => unknown) => work(),
  hold: () => () => {},
  untimed: () => () => {},
} as unknown as HoldableContext & StepContext

const keepAlive = setInterval(() => {}, 60_000) // workers do not
const started: number[] = []
let workers: IsolatedHandler | undefined
for (let n = 0; n < STARTS; n++) {
  await workers?.stop()
  workers = isolate(isolated)
  started.push(await took(() => workers?.handle(event(0), ctx)))
}
const inWorker: Handle = async (event, ctx) => workers?.handle(event, ctx)
const { behaviour } = isolated
const here: Handle = behaviour.kind === "handle" ? behaviour.handle : () => {}

const result = {
  "first step of a new worker, ms": spread(started),
  "a step in a worker, us": await perStep(inWorker, 0),
  "the same step in the node, us": await perStep(here, 0),
  "a step of ten calls in a worker, us": await perStep(inWorker, 10),
  "the same step of ten calls in the node, us": await perStep(here, 10),
  "memory of a worker, MB": (workers?.pids ?? []).map(residentMb),
}
await workers?.stop()
clearInterval(keepAlive)
process.stdout.write(`${JSON.stringify({ node: process.version, steps: STEPS, result }, undefined, 2)}\n`)

function event(calls: number): MurmurEvent {
  return { ...seal(Asked({ calls }), { mesh: "bench", producer: "feed" }), seq: 1 }
}

async function perStep(handle: Handle, calls: number): Promise<unknown> {
  const given = event(calls)
  const rounds: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const ms = await took(async () => {
      for (let n = 0; n < STEPS; n++) await handle(given, ctx)
    })
    if (round > 0) rounds.push((ms * 1_000) / STEPS) // in the first one functions are not compiled yet
  }
  return spread(rounds)
}

async function took(work: () => unknown): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** Resident memory, where the system tells. */
function residentMb(pid: number): number | undefined {
  try {
    const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return Math.round((Number(kb) * 1_024) / 1e6)
  } catch {
    return undefined
  }
}
