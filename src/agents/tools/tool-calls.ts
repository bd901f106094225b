import type { MurmurEvent, TraceContext } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { errorCode, RetryableError, TerminalError } from "../../errors.js"
import type { Telemetry } from "../../telemetry/ports.js"
import type { Clock } from "../clock.js"
import type { Effects } from "../effects.js"
import type { Call, Journal } from "../journal/journal.js"
import type { Perform } from "./perform-tool.js"
import type { AnyTool, Reconciled } from "./tool.js"
import { checkOutput, plainInput } from "./tool-data.js"
import { observeTool } from "./tool-telemetry.js"
import { outcomeUnknown, questionAbout } from "./unknown-outcome.js"

/** The step that calls. */
export interface ToolScope {
  readonly agent: string
  readonly event: MurmurEvent
  /** Whether a process died in this step: then each call is noted before it begins. */
  readonly careful: boolean
  /** Parent of the spans of its calls. */
  readonly trace: TraceContext | undefined
  /** Of the attempt. */
  readonly signal: () => AbortSignal
}

/** What calling tools needs of a node. */
export interface ToolPorts {
  readonly clock: Clock
  readonly telemetry: Telemetry
}

/** More unknown outcomes of one call than this would meet those of the next. */
const TIMES_MAX = 1_000

/** One call on its way. */
interface Calling {
  readonly tool: AnyTool
  readonly journal: Journal
  readonly call: Call
  /** Has the tool's code run. */
  readonly run: () => Promise<unknown>
  readonly reconcile: () => Promise<unknown>
}

/**
 * The tool calls of one attempt. Each is made once: its output is journaled. Where the journal knows that a call began,
 * and not how it ended, the tool's effect says what happens.
 */
export class ToolCalls {
  constructor(
    private readonly scope: ToolScope,
    private readonly effects: Pick<Effects, "journaled" | "askAbout">,
    private readonly ports: ToolPorts,
  ) {}

  /**
   * @param perform has the tool's code run, wherever that is
   * @throws TerminalError `TOOL_OUTPUT`, `TOOL_OUTCOME_UNKNOWN`; RetryableError `TOOL_TIMEOUT`; NondeterminismError; what
   *   the tool throws
   */
  async call(tool: AnyTool, input: unknown, perform: Perform): Promise<unknown> {
    const { agent, event } = this.scope
    const given = plainInput(tool, input)
    const output = await this.effects.journaled(`tool ${tool.name}`, given, async (journal, call) => {
      const id = derivedId(agent, event.id, call.position)
      const run = (): Promise<unknown> => observeTool(tool, this.scope, this.ports, () => perform("run", id))
      await journal.settled(call.position) // an attempt that outlived its time may still be in it
      return this.#once({ tool, journal, call, run, reconcile: () => perform("reconcile", id) })
    })
    return checkOutput(tool, output)
  }

  #once(calling: Calling): Promise<unknown> {
    switch (calling.tool.effect) {
      case "read":
      case "idempotent":
        return calling.journal.call(calling.call, () => checked(calling), this.scope.careful ? "first" : "beside")
      case "reconcile":
        return this.#reconciled(calling)
      case "irreversible":
        return this.#guarded(calling)
    }
  }

  async #reconciled(calling: Calling): Promise<unknown> {
    const { tool, journal, call } = calling
    if (journal.unknownTimes(call) > 0) {
      const found = (await calling.reconcile()) as Reconciled<unknown>
      if (found.done) {
        checkOutput(tool, found.output)
        return journal.call(call, () => found.output)
      }
    }
    return journal.call(call, () => checked(calling), "first")
  }

  /** What it returns is recorded before anybody looks whether it fits: it was done. */
  async #guarded({ tool, journal, call, run }: Calling): Promise<unknown> {
    await this.#mayRun(tool, journal, call)
    let thrown: unknown
    const noting = async (): Promise<unknown> => {
      try {
        return await run()
      } catch (error) {
        thrown = error
        throw error
      }
    }
    try {
      return await journal.call(call, noting, "first")
    } catch (error) {
      if (error !== thrown) throw error // the journal's own
      if (errorCode(error) === "TOOL_OUTPUT" && error instanceof TerminalError) return journal.refuse(call, error)
      if (saysNothingWasDone(error, this.scope.signal())) await journal.undo(call).catch(() => {}) // then a person is asked
      throw error
    }
  }

  /** @throws TerminalError `TOOL_OUTCOME_UNKNOWN` when it may not */
  async #mayRun(tool: AnyTool, journal: Journal, call: Call): Promise<void> {
    const times = journal.unknownTimes(call)
    if (times === 0) return
    const { agent } = this.scope
    const begun = { agent, tool: tool.name, input: call.input, at: journal.begunAt(call.position) }
    const position = -(call.position * TIMES_MAX + Math.min(times, TIMES_MAX))
    const options = { choices: ["no", "yes"], default: "no", timeoutMs: tool.askTimeoutMs }
    const answer = await this.effects.askAbout(position, questionAbout(begun), options)
    if (answer !== "yes") await journal.refuse(call, outcomeUnknown(begun))
  }
}

/** What does not fit is not recorded: the call can be made again. */
async function checked({ tool, run }: Calling): Promise<unknown> {
  const output = await run()
  checkOutput(tool, output)
  return output
}

/** Errors of ours: its time was up, its step was stopped, its worker died. They say nothing about what was done. */
const BROKEN_OFF = /^(?:TOOL_TIMEOUT$|STEP_)/

function saysNothingWasDone(error: unknown, step: AbortSignal): boolean {
  const says = error instanceof RetryableError || error instanceof TerminalError
  return says && !BROKEN_OFF.test(error.code) && !step.aborted
}
