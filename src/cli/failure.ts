import { ensureError, isMurmurError } from "../errors.js"
import { printableLines } from "./text.js"

/** The thing asked for failed. */
const FAILED = 1
/** The command was written wrongly. */
const WRONG_USAGE = 2

/**
 * Tells why a command failed: a line for people on standard error, with `--json` also an object for programs as the last
 * line.
 *
 * @returns the exit code
 */
export function reportFailure(thrown: unknown, json: boolean): number {
  const error = ensureError(thrown)
  const code = isMurmurError(error) ? error.code : "ERROR"
  const text = error.message || error.name
  process.stderr.write(`murmur: ${printableLines(text)}\n`)
  if (!isMurmurError(error) && process.env.MURMUR_LOG_LEVEL === "debug") process.stderr.write(`${error.stack}\n`)
  if (json) process.stderr.write(`${JSON.stringify({ error: { code, message: text } })}\n`)
  return code === "USAGE" ? WRONG_USAGE : FAILED
}
