import { startTestCluster } from "../../test/support/nats-cluster.js"
import { startTestServer } from "../../test/support/nats-server.js"
import type { Sync } from "../report/results.js"
import { compareRates, type RatesLoad, type SettingRates } from "./rates.js"

export interface ReplicasOptions {
  readonly sync: Sync
  readonly load: RatesLoad
  readonly say: (line: string) => void
}

/** One server, and three of this machine that keep everything three times, on the same disk. */
export async function measureReplicas({ sync, load, say }: ReplicasOptions): Promise<Record<string, SettingRates>> {
  const server = await startTestServer({ sync })
  try {
    const cluster = await startTestCluster({ sync })
    try {
      const settings = [
        { name: "one server, R1", url: server.url, mesh: () => ({}) },
        { name: "three servers, R3", url: cluster.url, mesh: () => ({ replicas: 3 as const }) },
      ]
      return await compareRates(settings, load, say)
    } finally {
      await cluster.stop()
    }
  } finally {
    await server.stop()
  }
}
