import { createHash } from "node:crypto"
import { TerminalError } from "../../errors.js"

/** A step asked for something else than it did before: its code changed, or it is not deterministic. */
export class NondeterminismError extends TerminalError {}

/** Tells one call from another. */
export function callHash(call: string, input: unknown): string {
  return createHash("sha256")
    .update(call)
    .update("\u0000")
    .update(JSON.stringify(input) ?? "")
    .digest("base64url")
    .slice(0, 22)
}

/** @throws NondeterminismError when the record at this position is of another call */
export function checkSame(
  recorded: { readonly position: number; readonly call: string; readonly hash: string },
  asked: { readonly call: string; readonly hash: string },
  agent: string,
): void {
  if (recorded.hash === asked.hash) return
  const { position } = recorded
  const now = asked.call === recorded.call ? `"${asked.call}" with other input` : `"${asked.call}"`
  throw new NondeterminismError(
    `"${agent}" did not repeat its step: call ${position} was "${recorded.call}" and is now ${now}. The order and the input of journaled calls must follow from the event, the state and earlier answers alone`,
    { code: "NONDETERMINISM", details: { position, recorded: recorded.call, called: asked.call } },
  )
}
