import { setMaxListeners } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { type Bus, openBus } from "../../bus/bus.js"
import { type LocalServer, type ServerProgress, startLocalServer } from "../../bus/server/index.js"
import { MurmurError } from "../../errors.js"
import { unfinished } from "../audit/left.js"
import { DEMO } from "./demo.js"
import { billIn } from "./node-process.js"
import { DemoNodes } from "./nodes.js"
import { type ChaosPlan, planChaos, type Strike } from "./plan.js"
import { type Published, publishPlanned } from "./publish.js"
import { type ChaosReport, makeReport } from "./report.js"
import { waitUntil } from "./waits.js"

/** Options of {@link runChaos}. */
export interface ChaosOptions {
  /** The same seed strikes the same, at the same times. */
  readonly seed: number
  /** How many events are published. */
  readonly events: number
  /** How often a node is killed. */
  readonly kills: number
  /** How long events are published and the mesh is struck, in milliseconds. What is left then is finished. */
  readonly forMs: number
  /** Told what is done, with the milliseconds since the disturbance began. */
  readonly onProgress?: (line: string, atMs: number) => void
  /** Ends the run. */
  readonly signal?: AbortSignal
}

/** Within this time after the disturbance all work has to be done. */
const FINISH_MS = 60_000

/**
 * Runs a mesh of its own, two nodes that answer questions with paid calls, and disturbs it: nodes are killed and stopped,
 * the server is killed, events are repeated. Then holds what the streams hold to what murmur promises. Everything that it
 * starts is gone when it resolves or rejects, its folder too.
 *
 * @throws MurmurError `CHAOS_NODE`, what starting a server throws, and the reason of an abort
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-chaos-"))
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal])
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  let stage: Stage | undefined
  const atExit = (): void => {
    stage?.nodes.killAll() // the server has a guard of its own
    remove()
  }
  process.once("exit", atExit)
  try {
    stage = await openStage(folder, options, signal)
    return await perform(stage, options, signal)
  } finally {
    stop.abort(new MurmurError("The run is over", { code: "CHAOS_OVER" }))
    await stage?.close()
    remove()
    process.off("exit", atExit)
  }
}

/** What a run stands on. */
interface Stage {
  readonly folder: string
  readonly server: LocalServer
  readonly bus: Bus
  readonly nodes: DemoNodes
  /** Tells what is done, and when. */
  readonly clock: { began: number; say(line: string): void }
  close(): Promise<void>
}

async function openStage(folder: string, options: ChaosOptions, signal: AbortSignal): Promise<Stage> {
  writeFileSync(billIn(folder), "", { mode: 0o600 })
  const clock = {
    began: performance.now(),
    say: (line: string): void => options.onProgress?.(line, performance.now() - clock.began),
  }
  let last = ""
  const onProgress = ({ phase, detail }: ServerProgress): void => {
    if (phase !== "start" && phase !== last) clock.say(`${phase} ${detail}`) // the first time it may have to be fetched
    last = phase
  }
  const server = await startLocalServer({ dir: join(folder, "mesh"), port: 0, signal, onProgress })
  try {
    const bus = await openBus({ url: server.url, name: "murmur chaos", mesh: DEMO.mesh })
    const nodes = new DemoNodes({ natsUrl: server.url, mesh: DEMO.mesh, folder }, clock.say, signal)
    const close = async (): Promise<void> => {
      nodes.killAll()
      await nodes.gone()
      await bus.close()
      await server.stop()
    }
    clock.say(`a mesh of its own runs at ${server.url}`)
    return { folder, server, bus, nodes, clock, close }
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function perform(stage: Stage, options: ChaosOptions, signal: AbortSignal): Promise<ChaosReport> {
  const { bus, nodes, clock, folder } = stage
  const plan = planChaos(options)
  await bus.ensureStreams()
  await nodes.start()
  clock.began = performance.now()
  const { published, serverKills } = await disturb(stage, plan, signal)
  clock.say(`all ${published.accepted.length} events are stored; no more strikes`)
  const done = async (): Promise<boolean> => (await unfinished(bus, DEMO.agent).catch(() => undefined))?.length === 0
  const faults = (await waitUntil(done, FINISH_MS, signal)) ? [] : [`not done ${FINISH_MS / 1_000} s after the end`]
  clock.say("all work is done; the nodes are asked to leave")
  await nodes.leave()
  const durationMs = Math.round(performance.now() - clock.began)
  return makeReport(bus, {
    ...{ seed: options.seed, kills: nodes.kills, pauses: nodes.pauses, serverKills, durationMs, published },
    strikes: plan.strikes,
    standstills: nodes.standstills,
    faults: [...faults, ...nodes.faults],
    billFile: billIn(folder),
  })
}

/** Publishes and strikes at the same time, as planned. Resolves when all events are stored and all nodes are back. */
async function disturb(
  stage: Stage,
  plan: ChaosPlan,
  signal: AbortSignal,
): Promise<{ published: Published; serverKills: number }> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  setMaxListeners(0, either) // each event that is on its way listens
  const fail = (error: unknown): never => {
    failed.abort(error)
    throw error
  }
  const [published, serverKills] = await Promise.all([
    publishPlanned(stage.bus, plan.events, either).catch(fail),
    strikeAll(stage, plan.strikes, either).catch(fail),
  ])
  return { published, serverKills }
}

/** @returns how often the server was killed */
async function strikeAll(
  { nodes, server, clock }: Stage,
  strikes: readonly Strike[],
  signal: AbortSignal,
): Promise<number> {
  let serverKills = 0
  for (const strike of strikes) {
    const waitMs = clock.began + strike.atMs - performance.now()
    if (waitMs > 0) await delay(waitMs, undefined, { signal })
    if (strike.what !== "server") await nodes.strike(strike)
    else {
      clock.say(`SIGKILL to the nats-server (pid ${server.pid}); it is started again`)
      process.kill(server.pid, "SIGKILL")
      serverKills += 1
    }
  }
  await nodes.recovered()
  return serverKills
}
