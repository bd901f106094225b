import type { MurmurEvent, TraceContext } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { errorCode, RetryableError, TerminalError } from "../../errors.js"
import { type Log, silentLog, type Telemetry } from "../../telemetry/ports.js"
import type { Clock } from "../clock.js"
import type { Effects } from "../effects.js"
import type { Call, Journal } from "../journal/journal.js"
import type { Positions } from "../positions.js"
import { type ApprovalPorts, passGate } from "./approval.js"
import { runsInNode } from "./in-node.js"
import { LargeOutputs } from "./large-outputs.js"
import type { ToolServices } from "./node-services.js"
import { type Perform, performTool } from "./perform-tool.js"
import type { AnyTool, Reconciled } from "./tool.js"
import { checkInput, checkOutput, plainInput } from "./tool-data.js"
import { observeTool } from "./tool-telemetry.js"
import { type Labels, TrustGate } from "./trust-gate.js"
import { outcomeUnknown, questionAbout } from "./unknown-outcome.js"

/** The step that calls. */
export interface ToolScope {
  readonly agent: string
  readonly event: MurmurEvent
  /** Whether a process died in this step: then each call is noted before it begins. */
  readonly careful: boolean
  /** Parent of the span of a call that begins now. */
  readonly trace: TraceContext | undefined
  /** Of the attempt. */
  readonly signal: () => AbortSignal
  /** Whether what its session knows was written by outsiders, whatever its event is. Default false. */
  readonly fromOutside?: boolean
  /** Which attempt it is. Default 1. */
  readonly attempt?: number
  /** When the event was stored. Default: the event's own time. */
  readonly storedAtMs?: number
  readonly log?: Log
}

/** What calling tools needs of a node. */
export interface ToolPorts {
  readonly clock: Clock
  readonly telemetry: Telemetry
  /** Takes secrets out of what people are asked. */
  redact(text: string): string
  /** For the tools that the node runs itself. */
  readonly toolServices?: ToolServices | undefined
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
  readonly #gate: TrustGate
  readonly #large: LargeOutputs

  constructor(
    private readonly scope: ToolScope,
    private readonly effects: Pick<Effects, "journaled" | "askAbout">,
    private readonly ports: ToolPorts,
  ) {
    this.#gate = new TrustGate(scope.event.trust === "external" || scope.fromOutside === true)
    this.#large = new LargeOutputs(ports.toolServices?.artifacts, (text) => ports.redact(text))
  }

  /** Whether outsiders have a say in the step: by its event, or by what it has read. What it emits is theirs as well then. */
  get tainted(): boolean {
    return this.#gate.tainted
  }

  /**
   * @param perform has the tool's code run, wherever that is
   * @param at whose next position it is; default: the step's
   * @throws TerminalError `TOOL_NOT_APPROVED`, `TOOL_OUTPUT`, `TOOL_OUTPUT_GONE`, `TOOL_OUTCOME_UNKNOWN`; RetryableError `TOOL_TIMEOUT`;
   *   NondeterminismError; what the tool throws
   */
  async call(tool: AnyTool, input: unknown, perform: Perform, at?: Positions): Promise<unknown> {
    const { agent, event } = this.scope
    const given = plainInput(tool, input)
    const entry = this.#gate.enter(tool) // in the order of the calls, before anything is waited for
    const does = runsInNode(tool) ? this.#performer(tool, input) : perform
    const make = async (journal: Journal, call: Call): Promise<unknown> => {
      const id = derivedId(agent, event.id, call.position)
      const run = (): Promise<unknown> => observeTool(tool, this.scope, this.ports, () => does("run", id))
      await journal.settled(call.position) // an attempt that outlived its time may still be in it
      await passGate({ agent, tool, journal, call, entry }, this.#approvals(tool))
      return this.#once({ tool, journal, call, run, reconcile: () => does("reconcile", id) })
    }
    const recorded = await this.effects.journaled(`tool ${tool.name}`, given, make, at)
    return checkOutput(tool, await this.#large.whole(recorded))
  }

  /** Something was told to the handler that no call has just returned: what a call before came to, what another agent says. */
  note(tool: Labels): void {
    this.#gate.enter(tool)
  }

  #approvals({ name: tool }: AnyTool): ApprovalPorts {
    const { redact, telemetry } = this.ports
    const onNew = (): void => telemetry.metrics.count("murmur.tool.approvals", 1, { agent: this.scope.agent, tool })
    return { effects: this.effects, redact: (text) => redact(text), onNew }
  }

  /** Has the node run a tool of its own, wherever the agent runs. */
  #performer(tool: AnyTool, given: unknown): Perform {
    const { agent, event, attempt = 1, storedAtMs = Date.parse(event.time), log = silentLog, signal } = this.scope
    const { clock, toolServices } = this.ports
    const input = checkInput(agent, tool, given)
    const node = toolServices && { ...toolServices, stepTime: new Date(storedAtMs) }
    return (way, idempotencyKey) => {
      const ctx = { agent, key: event.key, attempt, signal: signal(), log, node }
      return performTool({ tool, input, clock, ctx }, way, idempotencyKey)
    }
  }

  #once(calling: Calling): Promise<unknown> {
    switch (calling.tool.effect) {
      case "read":
      case "idempotent":
        return calling.journal.call(calling.call, () => this.#checked(calling), this.scope.careful ? "first" : "beside")
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
        return journal.call(call, () => this.#large.keep(found.output))
      }
    }
    return journal.call(call, () => this.#checked(calling), "first")
  }

  /** What does not fit is not recorded: the call can be made again. */
  async #checked({ tool, run }: Calling): Promise<unknown> {
    const output = await run()
    checkOutput(tool, output)
    return this.#large.keep(output)
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
      return await journal.call(call, async () => this.#large.keep(await noting()), "first")
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

/** Errors of ours: its time was up, its step was stopped, its worker died. They say nothing about what was done. */
const BROKEN_OFF = /^(?:TOOL_TIMEOUT$|STEP_)/

function saysNothingWasDone(error: unknown, step: AbortSignal): boolean {
  const says = error instanceof RetryableError || error instanceof TerminalError
  return says && !BROKEN_OFF.test(error.code) && !step.aborted
}
