import { createHash } from "node:crypto"
import { z } from "zod"
import { errorCode, RetryableError, TerminalError } from "../../errors.js"
import { defineTool } from "../tools/define-tool.js"
import { inNode } from "../tools/in-node.js"
import { type MemoPort, nodeServices } from "../tools/node-services.js"
import type { Tool, ToolContext } from "../tools/tool.js"
import { type BuiltinOptions, checkCount, checkKnown, common } from "./options.js"

/** Options of {@link taskList}. */
export interface TaskListOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** How many tasks a list may have. Default 100. */
  readonly tasksMax?: number
  /**
   * Whether outsiders may have had tasks written into it, by events of theirs or by what the agent has read. Default true:
   * what was planted in one step is not obeyed in another. False for agents that hear and read only their own.
   */
  readonly untrusted?: boolean
}

const Status = z.enum(["open", "doing", "done", "dropped"])

const Task = z.object({ id: z.int(), text: z.string(), status: Status, note: z.string().optional() })
/** One task of a list. */
export type Task = z.infer<typeof Task>

/** What is kept of a list. */
const Kept = z.object({
  agent: z.string(),
  key: z.string().optional(),
  nextId: z.int(),
  tasks: z.array(Task),
  /** The newest calls that changed it: a call that is made again changes nothing. */
  calls: z.array(z.string()),
})
type Kept = z.infer<typeof Kept>

const Text = z.string().min(1).max(500)
const Input = z.object({
  add: z.array(Text).max(50).optional().describe("New tasks, in order"),
  update: z
    .array(z.object({ id: z.int(), status: Status.optional(), text: Text.optional(), note: Text.optional() }))
    .max(50)
    .optional()
    .describe("Changes of tasks, by id"),
  clear: z
    .enum(["done", "all"])
    .optional()
    .describe("Takes out what is done or dropped, or everything; before anything else"),
})
type Input = z.output<typeof Input>

const CALLS_REMEMBERED = 100
const CONFLICTS_MAX = 20

/**
 * A tool that keeps a list of tasks for a session: one list for each agent and key, there in the next step and on the next
 * node as well. A list is changed when the call is made and not when its step is committed, and once for each call.
 *
 * @throws MurmurError `TOOL_OPTION`
 */
export function taskList<const Name extends string = "taskList">(
  options: TaskListOptions<Name> = {},
): Tool<NoInfer<Name>, z.input<typeof Input>, { tasks: Task[] }> {
  checkKnown("taskList", options, ["tasksMax", "untrusted"])
  const { name = "taskList" as Name } = options
  const tasksMax = checkCount(name, "tasksMax", options.tasksMax ?? 100, 1, 1_000)
  const tool = defineTool({
    name,
    description:
      options.description ??
      "Keeps your list of tasks. Without arguments it shows the list; it always returns the whole list",
    input: Input,
    effect: "idempotent",
    untrusted: options.untrusted ?? true,
    ...common(options),
    run: async (input, ctx): Promise<{ tasks: Task[] }> => {
      const { memos } = nodeServices(name, ctx)
      return { tasks: await new TaskBook(name, memos, ctx, tasksMax).apply(input) }
    },
  })
  return inNode(tool)
}

/** The list of one session. */
class TaskBook {
  constructor(
    private readonly tool: string,
    private readonly memos: MemoPort,
    private readonly ctx: ToolContext,
    private readonly tasksMax: number,
  ) {}

  async apply(input: Input): Promise<Task[]> {
    const { agent, key, idempotencyKey: call } = this.ctx
    const memoKey = memoKeyOf(this.tool, agent, key)
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
      const memo = await this.memos.read(memoKey)
      const kept: Kept = memo === undefined ? { agent, key, nextId: 1, tasks: [], calls: [] } : Kept.parse(memo.value)
      if (!changes(input) || kept.calls.includes(call)) return kept.tasks
      const next = this.#changed(kept, input)
      const calls = [...kept.calls, call].slice(-CALLS_REMEMBERED)
      try {
        await this.memos.write(memoKey, { ...next, calls }, memo?.revision)
        return next.tasks
      } catch (error) {
        if (errorCode(error) !== "BUCKET_CONFLICT") throw error // somebody else was first: look again
      }
    }
    throw new RetryableError(`Tool "${this.tool}" cannot change the list: others change it all the time`, {
      code: "TOOL_TASKS",
    })
  }

  #changed(kept: Kept, { add = [], update = [], clear }: Input): Kept {
    const left = clear === "all" ? [] : kept.tasks.filter(({ status }) => clear === undefined || isOpen(status))
    const unknown = update.find(({ id }) => !left.some((task) => task.id === id))
    if (unknown !== undefined) {
      const ids = left.map(({ id }) => id).join(", ") || "none"
      throw this.#error(`there is no task ${unknown.id} (there are: ${ids})`)
    }
    const tasks = left.map((task): Task => {
      const changes = update.filter(({ id }) => id === task.id).map(defined)
      return Object.assign({}, task, ...changes)
    })
    let { nextId } = kept
    for (const text of add) tasks.push({ id: nextId++, text, status: "open" })
    if (tasks.length > this.tasksMax) throw this.#error(`${tasks.length} tasks, and it may have ${this.tasksMax}`)
    return { ...kept, tasks, nextId }
  }

  #error(why: string): TerminalError {
    return new TerminalError(`Tool "${this.tool}" cannot change the list: ${why}`, { code: "TOOL_TASKS" })
  }
}

const changes = ({ add, update, clear }: Input): boolean => Boolean(add?.length || update?.length || clear)
const isOpen = (status: Task["status"]): boolean => status === "open" || status === "doing"

function defined<T extends object>(change: T): T {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as T
}

/** Keys of sessions may hold what keys of buckets may not. */
function memoKeyOf(tool: string, agent: string, key: string | undefined): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([tool, key ?? null]))
    .digest("base64url")
  return `tasks.${agent}.${hash}`
}
