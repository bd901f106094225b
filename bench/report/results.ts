import type { BullmqResult } from "../measures/bullmq.js"
import type { CliStart } from "../measures/cli-start.js"
import type { Duplicates } from "../measures/duplicates.js"
import type { FanOut } from "../measures/fan-out.js"
import type { Fold } from "../measures/fold.js"
import type { Latency } from "../measures/latency.js"
import type { Memory } from "../measures/memory.js"
import type { Minds } from "../measures/minds.js"
import type { Nodes } from "../measures/nodes.js"
import type { Recovery } from "../measures/recovery.js"
import type { Routes } from "../measures/routes.js"
import type { Calls } from "../measures/state.js"
import type { Throughput } from "../measures/throughput.js"
import type { Variant } from "../measures/variants.js"
import type { Machine } from "../support/machine.js"
import type { HotSpot } from "../support/profile.js"

/** How the server writes to disk: its own default, or before each ack, as murmur ships it. */
export type Sync = "default" | "always"

/** All that one run of the benchmark measured; what stands in `results.json`. */
export interface Results {
  readonly date: string
  readonly command: string
  readonly seconds: number
  readonly machine: Machine
  readonly throughput: Readonly<Record<Sync, Throughput | undefined>>
  readonly latency: Readonly<Record<Sync, Latency | undefined>>
  /** Steps of agents with state. */
  readonly state: Readonly<Record<Sync, Throughput | undefined>>
  readonly calls: Readonly<Record<Sync, Calls | undefined>>
  readonly fold: Fold | undefined
  readonly recovery: Recovery | undefined
  readonly nodes: Nodes | undefined
  readonly duplicates: Duplicates | undefined
  readonly fanOut: FanOut | undefined
  readonly minds: Minds | undefined
  readonly cli: CliStart | undefined
  readonly memory: Memory | undefined
  readonly routes: Routes | undefined
  /** The functions with the most time of their own, by variant. */
  readonly profile: Readonly<Partial<Record<Variant, readonly HotSpot[]>>>
  readonly bullmq: BullmqResult | undefined
}
