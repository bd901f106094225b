import { BusCore, type BusOptions, openLink, withLayout } from "./bus-core.js"
import type { Link } from "./link.js"
import { EventStream, type ObserveOptions } from "./observe.js"
import { Schedules } from "./schedules.js"
import type { StreamOptions } from "./stream-configs.js"
import { compareStreams, ensureStreams, type StreamChange } from "./streams.js"
import { Timers } from "./timers.js"

/** The whole bus: publish, observe, buckets, schedules, streams. One connection. */
export class Bus extends BusCore {
  readonly schedules: Schedules
  readonly timers: Timers

  constructor(link: Link, options: BusOptions) {
    super(link, options)
    this.schedules = new Schedules(link, this.names, this.log)
    this.timers = new Timers(link, this.publisher, this.names, this.log)
  }

  /**
   * Observes events whose type fits a pattern: history first when asked for, then live.
   *
   * @param pattern NATS wildcards on the type: `ci.run.*`, `market.>`, `>`
   * @throws MurmurError `FILTER`, `NAME_INVALID`, `OBSERVE_OPTION`; reading throws `MESH_NOT_FOUND`
   * @example
   * for await (const event of bus.observe("market.>", { from: new Date(Date.now() - 600_000) })) show(event)
   */
  observe(pattern: string, options: ObserveOptions = {}): EventStream {
    return new EventStream(this.link, this.names, pattern, options, this.log)
  }

  /**
   * Creates the mesh's streams or brings them up to date; safe to repeat. Retention that is not given is left as it is in
   * streams that exist.
   *
   * @throws MurmurError `STREAM_MIGRATE`
   */
  ensureStreams(options: StreamOptions = {}): Promise<StreamChange[]> {
    return ensureStreams(this.link, this.names, options, this.log)
  }

  /** What {@link ensureStreams} would do. Nothing is changed. */
  compareStreams(options: StreamOptions = {}): Promise<StreamChange[]> {
    return compareStreams(this.link, this.names, options)
  }
}

/**
 * Connects to a mesh.
 *
 * @throws MurmurError `BUS_CONNECT`, `SERVER_TOO_OLD`, `SERVER_NO_JETSTREAM`, `NAME_INVALID`
 * @example
 * const bus = await openBus({ url: "nats://127.0.0.1:4222", name: "my-tool" })
 */
export async function openBus(options: BusOptions): Promise<Bus> {
  const link = await openLink(options)
  return new Bus(link, await withLayout(link, options))
}
