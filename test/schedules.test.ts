import { describe, expect, test, vi } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import type { Due } from "../src/bus/schedules.js"
import { until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

const EVERY_SECOND = { owner: "clock", name: "every/second", expression: "@every 1s" }

/** A server of its own for one test, so that tests can wait side by side. */
class Clockwork {
  readonly #stopping: AbortController[] = []
  readonly #consuming: Promise<void>[] = []

  private constructor(
    readonly server: TestServer,
    readonly bus: Bus,
  ) {}

  static async open(): Promise<Clockwork> {
    const server = await startTestServer()
    const bus = await openBus({ url: server.url, name: "test", mesh: "test" })
    await bus.ensureStreams()
    return new Clockwork(server, bus)
  }

  async close(): Promise<void> {
    for (const each of this.#stopping) each.abort()
    await Promise.all(this.#consuming)
    await this.bus.close()
    await this.server.stop()
  }

  consume(onDue: (due: Due) => Promise<void> | void): void {
    const controller = new AbortController()
    this.#stopping.push(controller)
    this.#consuming.push(this.bus.schedules.consume("clock", async (due) => onDue(due), controller.signal))
  }
}

/** A test with a server of its own, which is stopped with it. */
const timed =
  <Args extends unknown[]>(run: (clockwork: Clockwork, ...args: Args) => Promise<void>) =>
  async (...args: Args): Promise<void> => {
    const clockwork = await Clockwork.open()
    try {
      await run(clockwork, ...args)
    } finally {
      await clockwork.close()
    }
  }

describe.concurrent("schedules", () => {
  test(
    "a schedule fires again and again, each firing with an id of its own, until it is removed",
    timed(async (clockwork) => {
      const { bus } = clockwork
      const dues: Due[] = []
      clockwork.consume((due) => void dues.push(due))
      await bus.schedules.set(EVERY_SECOND)
      await until("it fired three times", () => dues.length >= 3, 15_000)
      expect(dues.every(({ owner, name }) => owner === "clock" && name === "every/second")).toBe(true)
      expect(new Set(dues.map(({ id }) => id)).size).toBe(dues.length)
      await bus.schedules.remove("clock", "every/second")
      const fired = dues.length
      await new Promise((resolve) => setTimeout(resolve, 2_200))
      expect(dues.length).toBeLessThanOrEqual(fired + 1)
    }),
  )

  test(
    "a firing that was not handled comes again, with the same id",
    timed(async (clockwork) => {
      const { bus } = clockwork
      const dues: Due[] = []
      clockwork.consume((due) => {
        dues.push(due)
        if (dues.length < 3) throw new Error("not now")
      })
      await bus.schedules.set({ ...EVERY_SECOND, expression: "@every 1h" })
      bus.link.connection.publish("test.due.clock.every/second", "")
      await until("it came three times", () => dues.length === 3, 15_000)
      expect(new Set(dues.map(({ id }) => id)).size).toBe(1)
    }),
  )

  test(
    "after a long absence a job runs once, not once for each time that was missed",
    timed(async (clockwork) => {
      const { bus } = clockwork
      await bus.schedules.set({ ...EVERY_SECOND, expression: "@every 1h" })
      for (let n = 0; n < 10; n++) bus.link.connection.publish("test.due.clock.every/second", "")
      await bus.link.connection.flush()
      await new Promise((resolve) => setTimeout(resolve, 5_200)) // what is younger is not coalesced
      const dues: Due[] = []
      clockwork.consume((due) => void dues.push(due))
      await until("it ran", () => dues.length > 0)
      await until("the others are acked", async () => {
        const info = await bus.link.manager.consumers.info(bus.names.timers, "due_clock")
        return info.num_pending + info.num_ack_pending === 0
      })
      expect(dues.map(({ id }) => id)).toEqual([`${bus.names.timers}:11`])
    }),
  )

  test(
    "a firing is not taken for an old one because a server that is behind knows of none since",
    timed(async (clockwork) => {
      const { bus } = clockwork
      const subject = "test.due.clock.every/second"
      for (let n = 0; n < 2; n++) bus.link.connection.publish(subject, "")
      await bus.link.connection.flush()
      const before = await bus.link.manager.direct.getMessage(bus.names.timers, { seq: 1 })
      vi.spyOn(bus.link.manager.direct, "getMessage").mockResolvedValue(before)
      const stored = async () => await bus.link.manager.streams.getMessage(bus.names.timers, { seq: 2 })
      const at = (await stored())?.time.getTime() ?? Number.NaN
      await until("both are so old that one of them would do", () => Date.now() - at > 5_200, 10_000)
      const dues: Due[] = []
      clockwork.consume((due) => void dues.push(due))
      await until("the newest ran", () => dues.some(({ id }) => id === `${bus.names.timers}:2`))
    }),
  )

  test(
    "setting the same again leaves its rhythm alone, another expression changes it",
    timed(async ({ bus }) => {
      const stored = async () => {
        const query = { last_by_subj: "test.timer.clock.every/second" }
        return (await bus.link.manager.streams.getMessage(bus.names.timers, query))?.seq
      }
      await bus.schedules.set({ ...EVERY_SECOND, expression: "@every 1h" })
      const first = await stored()
      await bus.schedules.set({ ...EVERY_SECOND, expression: "@every 1h" })
      expect(await stored()).toBe(first)
      await bus.schedules.set({ ...EVERY_SECOND, expression: "0 0 9 * * *", timeZone: "Europe/Berlin" })
      expect(await stored()).not.toBe(first)
    }),
  )

  test.each([
    ["an expression that is none", { expression: "at noon" }],
    ["a time zone that is none", { expression: "0 0 9 * * *", timeZone: "Mars/Olympus" }],
  ])(
    "%s is refused with a reason",
    timed(async ({ bus }, _, more) => {
      await expect(bus.schedules.set({ ...EVERY_SECOND, ...more })).rejects.toMatchObject({
        code: "SCHEDULE",
        message: expect.stringContaining(more.expression),
      })
    }),
  )

  test(
    "consuming goes on over a restart of the server, and when the consumer was removed",
    timed(async (clockwork) => {
      const { bus, server } = clockwork
      const dues: Due[] = []
      clockwork.consume((due) => void dues.push(due))
      await bus.schedules.set({ ...EVERY_SECOND, expression: "@every 1h" })
      bus.link.connection.publish("test.due.clock.every/second", "")
      await until("it ran", () => dues.length === 1)
      await server.restart()
      await until("it is connected", () => bus.connected)
      bus.link.connection.publish("test.due.clock.every/second", "")
      await until("it ran again", () => dues.length === 2, 20_000)
      await bus.link.manager.consumers.delete(bus.names.timers, "due_clock")
      await until("it is made again", async () => {
        const info = await bus.link.manager.consumers.info(bus.names.timers, "due_clock").catch(() => undefined)
        return (info?.num_waiting ?? 0) > 0
      })
    }),
    40_000,
  )
})
