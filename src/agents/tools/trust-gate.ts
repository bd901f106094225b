import { TerminalError } from "../../errors.js"
import type { AnyTool } from "./tool.js"

/** What the gate looks at. */
type Labels = Pick<AnyTool, "name" | "private" | "egress" | "untrusted" | "approval">

/** A call before it begins. */
export interface Entry {
  /** Why it needs a person's approval; `undefined` when it needs none. */
  readonly reason: string | undefined
  /** It was not made after all: what comes after it is judged as if it had never been asked for. */
  leave(): void
}

/**
 * Stands in front of all tools of a step. An event may trigger; it may not authorise: once outsiders have a say in a step,
 * a model that obeys them can do no harm that a person has not approved.
 *
 * - An irreversible tool (`approval: "untrusted"`) needs approval then.
 * - A step may then not have both: private data, and a way out for them. The later of the two needs approval.
 *
 * Judged in the order in which the calls are asked for, which is the same on each attempt.
 */
export class TrustGate {
  #entered: Labels[] = []

  /** @param fromOutside whether the step's event was written by outsiders, or what its session knows was */
  constructor(private readonly fromOutside: boolean) {}

  /** Whether outsiders have a say in the step, and so in what it emits. */
  get tainted(): boolean {
    return this.fromOutside || this.#entered.some(({ untrusted }) => untrusted)
  }

  /** A call is asked for. */
  enter(tool: Labels): Entry {
    const reason = this.#reason(tool)
    const entered = { ...tool }
    this.#entered.push(entered)
    return {
      reason,
      leave: () => {
        this.#entered = this.#entered.filter((each) => each !== entered)
      },
    }
  }

  #reason(tool: Labels): string | undefined {
    if (tool.approval === "always") return "Each call of this tool needs approval"
    const outside = this.#outside()
    if (outside === undefined) return undefined
    if (tool.approval === "untrusted") return `Outsiders have a say in this step: ${outside}`
    const conflict = this.#conflict(tool)
    return conflict === undefined ? undefined : `${conflict}, and outsiders have a say in this step: ${outside}`
  }

  #outside(): string | undefined {
    if (this.fromOutside) return "its event comes from outside"
    const read = this.#entered.find(({ untrusted }) => untrusted)
    return read && `it has called "${read.name}", which returns what outsiders wrote`
  }

  #conflict(tool: Labels): string | undefined {
    if (tool.private && tool.egress) return "It reads private data and sends data out"
    const before = (is: (each: Labels) => boolean): Labels | undefined => this.#entered.find(is)
    if (tool.egress) {
      const read = before((each) => each.private)
      if (read !== undefined) return `It sends data out, and "${read.name}" has read private data`
    }
    if (tool.private) {
      const sent = before((each) => each.egress)
      if (sent !== undefined) return `It reads private data, and "${sent.name}" has sent data out`
    }
    return undefined
  }
}

/** Calls are numbered below 2 ** 43, and the questions about unknown outcomes lie from -1 down to -(2 ** 43) * 1_000. */
const ABOVE = 2 ** 43 * 1_000 + 1

/** Where the question whether a call may be made stands in the journal: one for each call, and of no other question. */
export function approvalPosition(callPosition: number): number {
  return -(ABOVE + callPosition)
}

/** More than that nobody reads; what hides at the end of it would be approved unseen. */
const INPUT_CHARS_MAX = 16_000

/** A call that a person is to approve. */
export interface AskedCall {
  readonly agent: string
  readonly tool: string
  readonly input: unknown
}

/** How the question begins: the raw effect, the same on each attempt. Characters that nobody sees are written out. */
export function effectText({ agent, tool, input }: AskedCall, redact: (text: string) => string): string {
  return `"${agent}" wants to call ${tool}(${visible(redact(JSON.stringify(input)))}).`
}

/** @throws TerminalError `TOOL_NOT_APPROVED` for an input that is too long to be judged */
export function checkShowable(call: AskedCall, text: string): void {
  if (text.length > INPUT_CHARS_MAX) {
    throw notApproved(call, `its input is longer than a person can be asked to judge (${INPUT_CHARS_MAX} characters)`)
  }
}

/** What a call fails with that nobody approved. */
export function notApproved({ agent, tool }: AskedCall, why = "nobody approved it"): TerminalError {
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
