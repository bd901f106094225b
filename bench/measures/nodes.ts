import { startTestServer } from "../../test/support/nats-server.js"
import type { Sync } from "../report/results.js"
import { type Failover, measureFailover } from "./failover.js"
import type { SettingRates } from "./rates.js"
import { measureReplicas } from "./replicas.js"
import { measureScaleOut, type ScaleOut } from "./scale-out.js"
import { measureSecurity } from "./security.js"

export interface NodesOptions {
  readonly long: boolean
  readonly say: (line: string) => void
}

/** More nodes, more servers, and who may do what. */
export interface Nodes {
  readonly scaleOut: ScaleOut
  readonly failover: Failover
  readonly security: Readonly<Record<string, SettingRates>>
  readonly replicas: Readonly<Record<Sync, Readonly<Record<string, SettingRates>>>>
}

const EVENTS = { stateless: 16_000, stateful: 8_000, waiting: 4_000 }
const RUNS = { kill: 4, stop: 2, drain: 2 }
const LONG_RUNS = { kill: 20, stop: 10, drain: 10 }

export async function measureNodes({ long, say }: NodesOptions): Promise<Nodes> {
  const server = await startTestServer()
  const { url } = server
  const rounds = long ? 6 : 2
  try {
    const scaleOut = await measureScaleOut({ url, events: EVENTS, rounds: long ? 5 : 1, say })
    const failover = await measureFailover({ url, pairs: 5, runs: long ? LONG_RUNS : RUNS, say })
    const security = await measureSecurity({ load: { publishes: 12_000, steps: 6_000, rounds }, say })
    say("  sync default")
    const plain = await measureReplicas({ sync: "default", load: { publishes: 12_000, steps: 6_000, rounds }, say })
    say("  sync always")
    const always = await measureReplicas({ sync: "always", load: { publishes: 2_000, steps: 1_000, rounds }, say })
    return { scaleOut, failover, security, replicas: { default: plain, always } }
  } finally {
    await server.stop()
  }
}
