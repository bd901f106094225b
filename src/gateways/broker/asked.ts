import type { TraceContext } from "../../telemetry/ports.js"
import type { KnownModel } from "../models/known-model.js"
import type { Meter } from "./broker.js"
import type { CallTelemetry } from "./call-telemetry.js"
import type { Ending } from "./ending.js"
import type { BrokerSettings } from "./options.js"
import type { Provider } from "./provider.js"

/** One call of the broker while it lasts, and all that it needs. */
export interface Asked {
  readonly settings: BrokerSettings
  readonly providers: ReadonlyMap<string, Provider>
  readonly telemetry: CallTelemetry
  readonly ending: Ending
  /** What is known of a model. */
  readonly known: (name: string) => KnownModel
  readonly meter: Meter | undefined
  readonly priority: number
  /** `Infinity` where there is none. */
  readonly deadlineMs: number
  /** Its place among all calls. */
  readonly arrival: number
  /** When it began, in milliseconds since 1970: waits for a busy provider are bounded from here. */
  readonly beganMs: number
  readonly trace: TraceContext | undefined
  /** How often a provider was asked. */
  tries: number
}

/** An answer, and what it took. */
export interface Answer<T> {
  readonly answer: T
  /** `provider/model`. */
  readonly answeredBy: string
  readonly costMicroUsd: number | undefined
  readonly cached: boolean
  readonly firstPartMs: number | undefined
  /** How often a provider was asked for it. */
  readonly tries: number
}
