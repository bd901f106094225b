import { TerminalError } from "../../errors.js"
import type { Effects } from "../effects.js"
import type { Call, Journal } from "../journal/journal.js"
import type { AnyTool } from "./tool.js"
import type { Entry } from "./trust-gate.js"

/** Calls are numbered below 2 ** 43, and the questions about unknown outcomes lie from -1 down to -(2 ** 43) * 1_000. */
const ABOVE = 2 ** 43 * 1_000 + 1

/** Where the question whether a call may be made stands in the journal: one for each call, and of no other question. */
export function approvalPosition(callPosition: number): number {
  return -(ABOVE + callPosition)
}

/** More than that nobody reads; what hides at the end of it would be approved unseen. */
const INPUT_CHARS_MAX = 16_000

/** A call that a person is to approve. */
interface AskedCall {
  readonly agent: string
  readonly tool: string
  readonly input: unknown
}

/** How the question begins: the raw effect, the same on each attempt. Characters that nobody sees are written out. */
export function effectText({ agent, tool, input }: AskedCall, redact: (text: string) => string): string {
  return `"${agent}" wants to call ${tool}(${visible(redact(JSON.stringify(input)))}).`
}

/** @throws TerminalError `TOOL_NOT_APPROVED` for an input that is too long to be judged */
function checkShowable(call: AskedCall, text: string): void {
  if (text.length > INPUT_CHARS_MAX) {
    throw notApproved(call, `its input is longer than a person can be asked to judge (${INPUT_CHARS_MAX} characters)`)
  }
}

/** What a call fails with that nobody approved. */
function notApproved({ agent, tool }: AskedCall, why = "nobody approved it"): TerminalError {
  return new TerminalError(`"${agent}" may not call tool "${tool}" with this input in this step: ${why}`, {
    code: "TOOL_NOT_APPROVED",
    details: { agent, tool },
  })
}

/** Controls, zero-width and bidirectional characters, tags, private use, fillers: what a reader would not see, or not in place. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\u00a0\u115f\u1160\u2800\u3164\uffa0\p{Variation_Selector}]/gu

function visible(text: string): string {
  return text.replace(UNSEEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
}

/** A call at the gate. */
export interface AtGate {
  readonly agent: string
  readonly tool: AnyTool
  readonly journal: Journal
  readonly call: Call
  readonly entry: Entry
}

/** What asking a person needs. */
export interface ApprovalPorts {
  readonly effects: Pick<Effects, "askAbout">
  /** Takes secrets out of what people are asked. */
  redact(text: string): string
  /** A call needs approval that was not asked for before. */
  onNew(): void
}

/**
 * Has a person approve a call that needs it. What was answered once has passed. Who was asked once is asked again, also
 * where other calls came first this time.
 *
 * @throws TerminalError `TOOL_NOT_APPROVED`
 */
export async function passGate(
  { agent, tool, journal, call, entry }: AtGate,
  { effects, redact, onNew }: ApprovalPorts,
): Promise<void> {
  if (journal.answerAt(call.position) !== undefined) return
  const position = approvalPosition(call.position)
  const before = journal.questionAt(position)?.question
  if (entry.reason === undefined && before === undefined) return
  if (before === undefined) onNew()
  const asked = { agent, tool: tool.name, input: call.input }
  const effect = effectText(asked, redact)
  const options = { choices: ["no", "yes"], default: "no", timeoutMs: tool.askTimeoutMs }
  try {
    checkShowable(asked, effect)
    const question = before?.startsWith(effect)
      ? before
      : `${effect} ${entry.reason ?? "It was asked for before"}. May it?`
    if ((await effects.askAbout(position, question, options)) !== "yes") throw notApproved(asked)
  } catch (error) {
    entry.leave()
    throw error
  }
}
