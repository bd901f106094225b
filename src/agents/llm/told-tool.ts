import { ensureError, errorCode, isMurmurError, TerminalError } from "../../errors.js"
import type { ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import type { Call, Journal } from "../journal/journal.js"
import { Positions } from "../positions.js"
import type { AttemptCore } from "../step-core.js"
import type { Perform } from "../tools/perform-tool.js"
import type { AnyTool } from "../tools/tool.js"
import { checkInput, plainInput } from "../tools/tool-data.js"
import { isOutcome } from "../work-outcome.js"

/** Processes die for other reasons as well: once says nothing of the call. */
const DEATHS_MAX = 2

/** A tool call that a model asks for. */
export interface ToldCall {
  readonly core: AttemptCore
  readonly tool: AnyTool
  readonly call: ToolCall
  /** Of this call alone. */
  readonly at: Positions
  /** Runs the tool's code, wherever that is. */
  readonly perform: (input: unknown) => Perform
  readonly signal: () => AbortSignal
  /** Makes of an output what the model is shown. */
  readonly show: (output: unknown) => Promise<string>
}

/**
 * Makes a tool call for a model. What the tool returns is journaled as for any call; that it failed is, too, so that the
 * model is told the same when the step runs again.
 *
 * @throws what keeps the step itself from going on; and, of a tool that does something to the world, an error that leaves
 *   open whether it was done: then the same call is made again, under the same idempotency key, and not another one
 */
export async function callForModel(told: ToldCall): Promise<ToolOutcome> {
  const { core, tool, call, at } = told
  const noted = Positions.always(at.next())
  const made = Positions.always(at.next())
  const tell = async (content: string): Promise<ToolOutcome> => {
    core.mustBeOpen("called tool", tool.name) // the next attempt may be in the same call by now
    const note = (journal: Journal, asked: Call): Promise<string> => journal.call(asked, () => content)
    return { content: await core.effects.journaled(label(tool), null, note, noted), isError: true }
  }
  const { before, deadly } = await core.effects.journaled(
    label(tool),
    null,
    async (journal, asked) => {
      await journal.settled(made.next()) // an attempt that has failed may still be in it: then nobody has died of it
      return { before: journal.recorded(asked), deadly: isDeadly(journal, told, made.next()) }
    },
    noted,
  )
  if (before !== undefined || deadly) core.toolCalls.note(tool)
  if (before !== undefined) return { content: String(before), isError: true }
  if (deadly) return tell(`Error: the process ended ${DEATHS_MAX} times while this ran. It is not run again.`)
  const thrown = new Set<unknown>()
  try {
    const input = checkInput(core.definition.name, tool, call.arguments)
    const output = await core.toolCalls.call(tool, call.arguments, watched(told.perform(input), thrown), made)
    return { content: await told.show(output), isError: false }
  } catch (error) {
    if (!isData(told, error, thrown)) throw error
    return tell(await told.show(`Error: ${ensureError(error).message}`))
  }
}

/** Whether a call has ended its process again and again. One that only reads can be left to the model then. */
function isDeadly(journal: Journal, { tool, call }: ToldCall, position: number): boolean {
  if (tool.effect !== "read") return false
  const made = { position, call: `tool ${tool.name}`, input: plainInput(tool, call.arguments) }
  return journal.unknownTimes(made) >= DEATHS_MAX
}

function label(tool: AnyTool): string {
  return `told of ${tool.name}`
}

function watched(perform: Perform, thrown: Set<unknown>): Perform {
  return async (way, key) => {
    try {
      return await perform(way, key)
    } catch (error) {
      thrown.add(error)
      throw error
    }
  }
}

/** Whether an error is something that a model can be told. */
function isData({ tool, signal }: ToldCall, error: unknown, thrown: ReadonlySet<unknown>): boolean {
  if (signal().aborted || !isOutcome(error)) return false
  const ofTheTool = thrown.has(error) || (isMurmurError(error) && errorCode(error).startsWith("TOOL_"))
  return ofTheTool && (tool.effect === "read" || error instanceof TerminalError)
}
