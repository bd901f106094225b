import { MurmurError } from "../../errors.js"

/**
 * Refuses option names that nobody reads: a misspelt option is a wish that is silently not fulfilled.
 *
 * @throws MurmurError `SERVER_OPTION`, naming the key
 */
export function checkKeys(action: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) throw optionError(action, `unknown option "${key}"; there are ${known.join(", ")}`)
  }
}

/** The error for an option of the wrong kind. */
export function optionError(action: string, problem: string): MurmurError {
  return new MurmurError(`Cannot ${action}: ${problem}`, { code: "SERVER_OPTION" })
}
