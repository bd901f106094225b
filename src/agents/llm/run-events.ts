import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { Usage } from "../../gateways/completion.js"

/** Which run is meant: one agent's work on one event. */
const Of = {
  /** Id of the event that the run handles. */
  run: z.string(),
  agent: z.string(),
  attempt: z.int(),
}
/** What it has used of models since it was started or continued. */
const Spent = { usage: Usage, costMicroUsd: z.number().optional(), turns: z.int() }
const Failure = z.object({ code: z.string(), message: z.string() })
const Call = { ...Of, call: z.string(), tool: z.string() }

/**
 * How the runs of agents that think go on, as events: for pages and people that follow. They are told and not waited for,
 * so one may be missing after a crash; what happened is in the journal and in the commit.
 */
export const RunEvents = {
  started: defineEvent("murmur.run.started", z.object(Of)),
  /** A piece of what the model says. */
  content: defineEvent("murmur.run.content", z.object({ ...Of, text: z.string() })),
  completed: defineEvent("murmur.run.completed", z.object({ ...Of, ...Spent })),
  failed: defineEvent("murmur.run.failed", z.object({ ...Of, ...Spent, error: Failure })),
  /** The node stopped, or another node runs the step. */
  cancelled: defineEvent("murmur.run.cancelled", z.object({ ...Of, ...Spent })),
  /** It waits: for a person, a time, or another agent. */
  paused: defineEvent("murmur.run.paused", z.object({ ...Of, ...Spent })),
  continued: defineEvent("murmur.run.continued", z.object(Of)),
  toolCallStarted: defineEvent("murmur.run.tool-call-started", z.object({ ...Call, input: z.unknown() })),
  toolCallCompleted: defineEvent("murmur.run.tool-call-completed", z.object({ ...Call, output: z.string() })),
  toolCallFailed: defineEvent("murmur.run.tool-call-failed", z.object({ ...Call, message: z.string() })),
  reasoningStarted: defineEvent("murmur.run.reasoning-started", z.object(Of)),
  reasoningStep: defineEvent("murmur.run.reasoning-step", z.object({ ...Of, text: z.string() })),
  reasoningCompleted: defineEvent("murmur.run.reasoning-completed", z.object(Of)),
  memoryUpdateStarted: defineEvent("murmur.run.memory-update-started", z.object(Of)),
  memoryUpdateCompleted: defineEvent("murmur.run.memory-update-completed", z.object(Of)),
  handoffStarted: defineEvent("murmur.run.handoff-started", z.object({ ...Of, to: z.string() })),
  handoffCompleted: defineEvent("murmur.run.handoff-completed", z.object({ ...Of, to: z.string(), ok: z.boolean() })),
} as const
