import type { z } from "zod"
import type { Log } from "../../telemetry/ports.js"
import type { NodeServices } from "./node-services.js"

/**
 * What calling a tool does to the world, and so what may happen when it is not known how a call ended:
 *
 * - `read`: nothing; it is called again.
 * - `idempotent`: something that happens once, however often it is called with the same idempotency key; it is called again.
 * - `reconcile`: something that can be found out afterwards: `reconcile` is asked whether it happened.
 * - `irreversible`: something that may not happen twice and cannot be found out: a person is asked.
 */
export type ToolEffect = "read" | "idempotent" | "reconcile" | "irreversible"

/**
 * When a call needs a person's approval: never, always, or in a step that outsiders have a say in (its event or something
 * that it has read came from outside).
 */
export type ToolApproval = "never" | "always" | "untrusted"

/** What a tool is given for one call. */
export interface ToolContext {
  /** Name of the agent that calls. */
  readonly agent: string
  /** The session's key: the entity that the agent's event is about. */
  readonly key: string | undefined
  /** Which attempt of the agent's step this is, from 1. */
  readonly attempt: number
  /** The same for this call on each attempt, also after a crash and on another node; of no other call. */
  readonly idempotencyKey: string
  /** Aborted when the call's time is up, and when its step ends. */
  readonly signal: AbortSignal
  readonly log: Log
  /** What the node offers to tools that it runs itself; a tool of a user's gets none. */
  readonly node?: NodeServices | undefined
}

/** What `reconcile` has found out about a call whose end is not known. */
export type Reconciled<Out> = { readonly done: true; readonly output: Out } | { readonly done: false }

/** What {@link defineTool} returns: everything checked, every default filled in. */
export interface Tool<Name extends string = string, In = unknown, Out = unknown> {
  readonly name: Name
  readonly description: string
  readonly effect: ToolEffect
  /** Whether what it returns must not leave. */
  readonly private: boolean
  /** Whether it sends out what it is given. */
  readonly egress: boolean
  /** Whether outsiders write what it returns. */
  readonly untrusted: boolean
  readonly approval: ToolApproval
  readonly timeoutMs: number
  readonly askTimeoutMs: number
  readonly input: z.ZodType
  readonly output: z.ZodType | undefined
  readonly run: (input: unknown, ctx: ToolContext) => unknown
  readonly reconcile: ((input: unknown, ctx: ToolContext) => unknown) | undefined
  /** Only for the types of `In` and `Out`. */
  readonly call?: (input: In) => Promise<Out>
}

// biome-ignore lint/suspicious/noExplicitAny: a list of tools of different data has no common parameter type
export type AnyTool = Tool<string, any, any>

/** The tools of an agent as its handler calls them: a function a tool. */
export type ToolFunctions<T extends readonly AnyTool[] = readonly AnyTool[]> = {
  readonly [Each in T[number] as Each["name"]]: NonNullable<Each["call"]>
}
