import { z } from "zod"
import type { EventDraft } from "../../bus/event.js"
import { derivedId, freshId } from "../../bus/ids.js"
import { Message } from "../../gateways/messages/message.js"
import { taskType } from "../../router/reserved.js"

/** So often a task may be handed from agent to agent. */
export const HANDOFFS_MAX = 16

const Name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/)

/** Who waits for a task, and before which of its waits. */
export const ReplyTo = z.object({
  /** Which task it is; the same when it is handed on. */
  task: z.string(),
  agent: Name,
  key: z.string().optional(),
  /** Id of the event whose step waits. */
  step: z.string(),
  /** Which of its calls waits. */
  position: z.int(),
  /** The agent that the task was given to. */
  to: Name,
})
export type ReplyTo = z.infer<typeof ReplyTo>

/** That a task was handed on, and under which key the agent got it. */
export const Handoff = z.object({ agent: Name, key: z.string().optional() })
export type Handoff = z.infer<typeof Handoff>

/** What an agent is told besides the input of its task. */
export const TaskContext = z.object({
  text: z.string().optional(),
  messages: z.array(Message).optional(),
  /** What a model made of the conversation of the agent that gave the task. */
  summary: z.string().optional(),
})
export type TaskContext = z.infer<typeof TaskContext>

/** The data of a task. One without `replyTo` was given by hand, or in passing: nobody waits for it. */
export const TaskData = z.object({
  input: z.unknown(),
  context: TaskContext.optional(),
  replyTo: ReplyTo.optional(),
  /** Newest last. */
  handoffs: z.array(Handoff).max(HANDOFFS_MAX).optional(),
  /** When the one who waits gives up, RFC 3339. */
  deadline: z.string().optional(),
})
export type TaskData = z.infer<typeof TaskData>

/** Whether outsiders had a say in it: then they have one in the step that goes on with it, too. */
const outside = z.boolean().optional()

/** What became of a task. An error is data: whoever waits decides what follows. */
export const TaskResult = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), output: z.unknown(), outside }),
  z.object({
    ok: z.literal(false),
    error: z.object({ code: z.string(), message: z.string() }),
    outside,
    /** It is no result: none had come. */
    missing: z.boolean().optional(),
  }),
])

/** A result as it is stored. */
export type StoredResult = TaskResult & {
  readonly outside?: boolean | undefined
  readonly missing?: boolean | undefined
}

/** What became of one of several tasks. */
export type TaskResult<Output = unknown> =
  | { readonly ok: true; readonly output: Output }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } }

/** The schema of an agent's tasks, their input included. */
export function taskSchema<T>(input: z.ZodType<T>): z.ZodType<TaskData & { input: T }> {
  return TaskData.extend({ input }) as unknown as z.ZodType<TaskData & { input: T }>
}

/**
 * A task as an event that may be published: for tests, and to give one by hand. Nobody waits for its result.
 *
 * @param key which session of the agent does it; default: one of its own
 * @example
 * await testAgent(researcher).when(taskDraft("researcher", { question: "Why is the sky blue?" }))
 */
export function taskDraft(agent: string, input: unknown, key?: string): EventDraft<TaskData> {
  const id = freshId()
  return { type: taskType(agent), data: { input }, key: key ?? id, id }
}

/** Id of one of the tasks that a call of a step gives. */
export function taskId(agent: string, step: string, position: number, index: number): string {
  return derivedId("task", agent, step, position, index)
}

/**
 * Id of the event by which a task is handed on. Whoever waits can work it out, and so see whether an agent that replies
 * was handed the task by one that had it: a producer stands in the subject, so nobody else can have published it.
 *
 * @param task of the task, or of the step that hands something on which is none
 * @param count how often it was handed on before
 */
export function handoffId(task: string, count: number, from: string, to: string): string {
  return derivedId("handoff", task, count, from, to)
}
