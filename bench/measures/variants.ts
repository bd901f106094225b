import type { LoopTask } from "../loops/loop.js"
import { type Child, startChild } from "../support/child.js"

/** The four ways to do one job. */
export const VARIANTS = ["a", "b", "c", "d"] as const
/** Which of their rates are compared. */
export const RATIOS = [
  ["c", "a"],
  ["c", "b"],
  ["d", "a"],
] as const
/** The two ways to do it in sessions. */
export const STATE_VARIANTS = ["e", "f"] as const
/** The two ways to do it in steps of several journaled calls. */
export const CALL_VARIANTS = ["g", "h"] as const
export type Variant = (typeof VARIANTS | typeof STATE_VARIANTS | typeof CALL_VARIANTS)[number]

export const VARIANT_NAMES: Readonly<Record<Variant, string>> = {
  a: "bare client, stock `js.publish`",
  b: "bare client, ack multiplexer",
  c: "murmur agent, traces off",
  d: "murmur agent, traces at 100 %",
  e: "bare client, fenced append and publish",
  f: "murmur agent with state",
  g: "bare client, a fenced append a call",
  h: "murmur agent, `ctx.run`",
}

/** How many events are in work at a time: murmur's default, and so for all. */
export const INFLIGHT = 64

const LOOP_OF = {
  a: "bare",
  b: "multiplexer",
  c: "agent",
  d: "agent",
  e: "fenced",
  f: "state",
  g: "calls",
  h: "journal",
} as const

let runs = 0

/** Starts the loop of a variant in a process of its own. */
export function startVariant(
  variant: Variant,
  task: Pick<LoopTask, "url" | "mesh"> & Partial<LoopTask>,
  options: { otlpUrl?: string | undefined; nodeOptions?: readonly string[] } = {},
): Child {
  runs += 1
  const whole: LoopTask = {
    variant: LOOP_OF[variant],
    name: `run-${runs}`,
    inflight: INFLIGHT,
    events: 0,
    warmup: 0,
    agents: 1,
    calls: 0,
    ...task,
  }
  const env =
    variant === "d" && options.otlpUrl !== undefined ? { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: options.otlpUrl } : {}
  return startChild("loop", whole, { env, ...(options.nodeOptions && { nodeOptions: options.nodeOptions }) })
}
