import type { SealedEvent } from "../../bus/encode.js"
import { MurmurError } from "../../errors.js"
import { isInboxType, isTaskType, taskType } from "../../router/reserved.js"
import { Resume } from "../suspension.js"
import { type ReplyTo, type TaskContext, TaskData, type TaskResult } from "./task.js"

/** A task that the agent under test has given. */
export interface TestTask {
  readonly agent: string
  readonly input: unknown
  readonly context: TaskContext | undefined
}

/** What an agent has published: its events, its tasks for others, its replies. */
export function sortOutputs(outputs: readonly SealedEvent[]): {
  readonly emitted: SealedEvent[]
  readonly delegated: TestTask[]
  readonly replies: TaskResult[]
} {
  const emitted = outputs.filter(({ type }) => !isTaskType(type) && !isInboxType(type))
  const delegated = outputs.filter(({ type }) => isTaskType(type)).map(taskIn)
  const replies = outputs.filter(({ type }) => isInboxType(type)).flatMap(resultIn)
  return { emitted, delegated, replies }
}

function taskIn({ type, data }: SealedEvent): TestTask {
  const { input, context } = TaskData.parse(data)
  return { agent: type.slice(taskType("").length), input, context }
}

function resultIn({ data }: SealedEvent): TaskResult[] {
  const resume = Resume.safeParse(data).data
  return resume?.kind === "result" ? [resume.result as TaskResult] : []
}

/** The tasks of other agents in a test: nobody does them but the test itself. */
export class TestTasks {
  readonly #open = new Map<string, TestTask & { readonly replyTo: ReplyTo }>()

  get open(): readonly TestTask[] {
    return [...this.#open.values()]
  }

  /** Whether it is tasks that a step waits for there. @param place step and position */
  waitedAt(place: string): boolean {
    return [...this.#open.values()].some(({ replyTo }) => placeOf(replyTo) === place)
  }

  /** An event was published: perhaps a task whose result the agent waits for. */
  given(agent: string, event: SealedEvent): void {
    if (!isTaskType(event.type)) return
    const { replyTo } = TaskData.parse(event.data)
    if (replyTo?.agent === agent) this.#open.set(replyTo.task, { ...taskIn(event), replyTo })
  }

  /** Nobody waits any more at a place. */
  over(place: string): void {
    for (const [id, { replyTo }] of this.#open) if (placeOf(replyTo) === place) this.#open.delete(id)
  }

  /** @throws MurmurError `TEST_NO_TASK` */
  reply(from: string, result: TaskResult, to: string | undefined): { readonly resume: Resume; readonly agent: string } {
    const found = [...this.#open.values()].find(({ agent }) => to === undefined || agent === to)
    if (found === undefined) {
      throw new MurmurError(`"${from}" waits for no task of ${to === undefined ? "another agent" : `"${to}"`}`, {
        code: "TEST_NO_TASK",
      })
    }
    const { task, step, position } = found.replyTo
    this.#open.delete(task)
    return { resume: { kind: "result", step, position, task, result, handoffs: [] }, agent: found.agent }
  }
}

function placeOf({ step, position }: ReplyTo): string {
  return `${step} ${position}`
}
