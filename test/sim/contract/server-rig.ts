import { type Bus, openBus } from "../../../src/bus/bus.js"
import { ensureDurable } from "../../../src/bus/consumers.js"
import { Partition } from "../../../src/bus/partition.js"
import { readHistory } from "../../../src/bus/reader.js"
import { StreamLog } from "../../../src/bus/record-log.js"
import { SharedLane } from "../../../src/bus/shared-lane.js"
import { silentLog } from "../../../src/telemetry/ports.js"
import type { TestServer } from "../../support/nats-server.js"
import { DEDUP_WINDOW_MS, type Rig, type RigClient, SHARED_WAIT_MS } from "./rig.js"

/** The server sets the room of a stream aside. */
const EVENTS_BYTES_MAX = 16 * 1024 ** 2

/** Runs a test on a real server, through the real classes. */
export async function onServer(server: TestServer, mesh: string, test: (rig: Rig) => Promise<void>): Promise<void> {
  const closing: (() => Promise<unknown>)[] = []
  const open = async (name: string): Promise<Bus> => {
    const bus = await openBus({ url: server.url, name, mesh })
    closing.push(() => bus.close())
    return bus
  }
  const deployer = await open("deployer")
  await deployer.ensureStreams({ dedupWindowMs: DEDUP_WINDOW_MS, eventsBytesMax: EVENTS_BYTES_MAX })
  const { names } = deployer

  const client = async (name: string): Promise<RigClient> => {
    const bus = await open(name)
    return {
      log: new StreamLog(bus.link, bus.publisher, names.sessionsOf("any")),
      publish: (n, { id, key } = {}) =>
        bus.publish({ type: "work.given", key: key ?? "k", data: n, id }, { producer: "cli" }),
      lane: (handler) => {
        const options = { stream: names.events, durable: "worker", batchMax: 100, log: silentLog }
        const partition = new Partition(bus.link, options, handler)
        closing.unshift(() => partition.stop())
        return partition
      },
      sharedLane: (handler, room) => {
        const options = { stream: names.events, durable: "worker", batchMax: 100, log: silentLog }
        const lane = new SharedLane(bus.link, { ...options, room, ackWaitMs: SHARED_WAIT_MS }, handler)
        closing.unshift(() => lane.stop())
        return lane
      },
      breakConnection: () => bus.link.connection.reconnect(),
      kill: () => bus.link.connection.close(),
    }
  }

  const rig: Rig = {
    names,
    client,
    deploy: async ({ shared = false, ackPendingMax = 100, ackWaitMs = shared ? SHARED_WAIT_MS : 30_000 } = {}) => {
      const filters = [names.storedFilter("work.>")]
      const durable = { stream: names.events, name: "worker", filters, ackPendingMax, ackWaitMs, pinned: !shared }
      await ensureDurable(deployer.link, { ...durable, from: "start" })
    },
    storedSubjects: async () => {
      const subjects: string[] = []
      const read = { stream: names.events, filter: ">", from: { seq: 1 } }
      for await (const { subject } of readHistory(deployer.link, read)) subjects.push(subject)
      return subjects
    },
    killServer: async () => {
      await server.kill9()
      await server.restart()
    },
    delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    until: async (what, holds) => {
      const deadline = Date.now() + 20_000
      while (!holds()) {
        if (Date.now() > deadline) throw new Error(`Waited 20 s: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
  }
  try {
    await test(rig)
  } finally {
    for (const close of closing) await close()
  }
}
