import { TerminalError } from "../../errors.js"

/** A call of an irreversible tool that began, and nobody knows how it ended. */
export interface UnknownCall {
  readonly agent: string
  readonly tool: string
  readonly input: unknown
  /** When it began. */
  readonly at: string | undefined
}

const INPUT_CHARS_MAX = 200

/** What a person is asked. The same for the same call, also in another process. */
export function questionAbout({ agent, tool, input, at }: UnknownCall): string {
  const text = JSON.stringify(input)
  const short = text.length <= INPUT_CHARS_MAX ? text : `${text.slice(0, INPUT_CHARS_MAX - 1)}…`
  return `"${agent}" called ${tool}(${short}) at ${at}, and it is not known whether it was done. It may not be done twice: find out. May it run again?`
}

/** The call has failed for good: nobody allowed it to be made again. */
export function outcomeUnknown({ agent, tool, at }: UnknownCall): TerminalError {
  return new TerminalError(
    `Tool "${tool}" was called by "${agent}" at ${at} and may have done its work; it was not allowed to run again`,
    { code: "TOOL_OUTCOME_UNKNOWN", details: { agent, tool, at } },
  )
}
