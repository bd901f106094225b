import { encode, seal } from "../../../src/bus/encode.js"
import { MeshNames } from "../../../src/bus/subjects.js"
import type { SimConsumer } from "../model/consumer.js"
import { SimLane } from "../model/lane.js"
import { Link } from "../model/link.js"
import { SimLog } from "../model/log.js"
import { SimServer } from "../model/server.js"
import type { SimSharedConsumer } from "../model/shared-consumer.js"
import { SimSharedLane } from "../model/shared-lane.js"
import { storedSubject } from "../model/subject.js"
import { Process } from "../world/process.js"
import { World } from "../world/world.js"
import { DEDUP_WINDOW_MS, type Rig, type RigClient, SHARED_WAIT_MS } from "./rig.js"

const names = new MeshNames("rig")

/** Runs a test on the model, in virtual time. */
export async function onModel(seed: string, test: (rig: Rig) => Promise<void>): Promise<void> {
  const world = new World(seed, { trace: true })
  const server = new SimServer(world)
  const events = server.addStream(names.events, { dedupWindowMs: DEDUP_WINDOW_MS, transform: storedSubject })
  const sessions = server.addStream(names.sessionsOf("any"))
  const delay = (ms: number): Promise<void> => new Promise((resolve) => void world.after(ms, resolve))

  const client = async (name: string): Promise<RigClient> => {
    const process = new Process(world, name)
    const link = new Link(process, server)
    return {
      log: new SimLog(link, sessions),
      publish: (n, { id, key } = {}) => {
        const event = seal({ type: "work.given", key: key ?? "k", data: n, id }, { mesh: "rig", producer: "cli" })
        const subject = names.publishSubject("cli", event.key, event.type)
        return link.publish(() => {
          const stored = events.append(subject, encode(event), { id: event.id })
          server.stored(events)
          return stored
        })
      },
      lane: (handler) => new SimLane(link, server.findConsumer("worker") as SimConsumer, handler),
      sharedLane: (handler, room) => {
        const consumer = server.findConsumer("worker") as SimSharedConsumer
        return new SimSharedLane(link, consumer, handler, { room, batchMax: 100, ackWaitMs: SHARED_WAIT_MS })
      },
      breakConnection: async () => link.break(),
      kill: async () => process.crash(),
    }
  }

  const rig: Rig = {
    names,
    client,
    deploy: async ({ shared = false, ...options } = {}) => {
      const wanted = { stream: names.events, filters: [names.storedFilter("work.>")], ...options }
      if (shared) server.addSharedConsumer("worker", { ackWaitMs: SHARED_WAIT_MS, ...wanted })
      else server.addConsumer("worker", wanted)
    },
    storedSubjects: async () => events.records.map(({ subject }) => subject),
    killServer: async () => {
      server.crash({ downMs: 200, forgetsMs: world.random.between(0, 300) })
      await delay(201)
    },
    delay,
    until: async (what, holds) => {
      for (let waited = 0; !holds(); waited += 10) {
        if (waited > 60_000) throw new Error(`Waited a minute of virtual time: ${what}`)
        await delay(10)
      }
    },
  }
  try {
    await world.complete(test(rig))
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${world.trace.slice(-40).join("\n")}`)
  }
}
