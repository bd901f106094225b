import type { LoginOptions } from "../../src/bus/login.js"

/** What a loop is told. */
export interface LoopTask {
  readonly variant: "bare" | "multiplexer" | "agent" | "fenced" | "state" | "calls" | "journal"
  readonly url: string
  readonly mesh: string
  /** Unique for the run: the name of its consumer and the producer of its results. */
  readonly name: string
  /** How many events are worked on at a time. */
  readonly inflight: number
  /** How many events wait on the bus; 0: the loop serves until it is stopped. */
  readonly events: number
  /** So many are handled before measuring begins. */
  readonly warmup: number
  /** Of the variant `agent`: how many agents react to each event. */
  readonly agents: number
  /** Of the variants `calls` and `journal`: how many calls a step makes, one after the other. */
  readonly calls: number
  /** Of murmur's own: how it logs in. */
  readonly login?: LoginOptions
}

/** What a loop measured. */
export interface LoopResult {
  readonly events: number
  readonly ms: number
  /** CPU time of the process, all of its threads, in microseconds. */
  readonly cpuUs: number
}

/** Starts a loop. `onEvent` is called when an event is taken up. @returns ends it */
export type StartLoop = (task: LoopTask, onEvent: () => void) => Promise<() => Promise<void>>

/** As many messages as a murmur agent asks for at a time, and as many as it may hold unfinished. */
export const PULL_BATCH = 500
export const ACK_PENDING_MAX = 1_000
