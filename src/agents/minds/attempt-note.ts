import type { Message } from "../../gateways/messages/message.js"
import type { PreviousAttempt } from "../journal/attempts.js"
import { delimited } from "./delimited.js"

const CALLS_MAX = 20
const ERROR_CHARS_MAX = 500
/** Of models and budgets: nothing that the model could do otherwise. */
const NOT_ITS_DOING = /^(LLM_|BUDGET_|GUARD_|STEP_STOPPED|STEP_TAKEN_OVER)/

/**
 * What a model is told of the attempt before this one when that has died or failed, so that it does not walk into the same
 * wall: what was under way as instructions tell it, and the words of the error, which may come from anywhere, as data.
 */
export function attemptNote(previous: PreviousAttempt | undefined): Message[] {
  if (previous === undefined || previous.ended === "stopped") return []
  const { attempt, ended, error, calls } = previous
  if (ended === "failed" && NOT_ITS_DOING.test(error?.code ?? "")) return []
  const how = ended === "died" ? "its process died" : `it failed with the error ${error?.code ?? "ERROR"}`
  const underWay = calls.filter(({ answered }) => !answered).map(({ call }) => call)
  const content = [
    `This is not the first attempt at this event. Attempt ${attempt} did not end: ${how}.`,
    underWay.length === 0
      ? "Nothing of it was under way at that moment that is known."
      : `Under way at that moment was: ${underWay.slice(-CALLS_MAX).join(", ")}.`,
    "What was done before that is done, and you see its results. If what was under way may have been the reason, do it in another way, in smaller parts, or not at all, and say so.",
  ].join(" ")
  if (error === undefined) return [{ role: "system", content }]
  const words = delimited(error.message.slice(0, ERROR_CHARS_MAX), { kind: "words of that error" })
  return [
    { role: "system", content },
    { role: "user", content: words },
  ]
}

/** Messages with a note on the attempt before, behind the instructions. */
export function withAttemptNote(
  messages: readonly Message[],
  previous: PreviousAttempt | undefined,
): readonly Message[] {
  const note = attemptNote(previous)
  if (note.length === 0) return messages
  const first = messages.findIndex(({ role }) => role !== "system")
  const at = first === -1 ? messages.length : first
  return [...messages.slice(0, at), ...note, ...messages.slice(at)]
}
