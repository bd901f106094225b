import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { MurmurError } from "../errors.js"

/**
 * Refuses options that nobody reads: a misspelt one would otherwise be silently without effect.
 *
 * @throws MurmurError `SOURCE_OPTION` naming the unknown key
 */
export function checkKnown(source: string, options: object, known: readonly string[]): void {
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue
    throw optionError(source, `unknown option "${option}" (known: ${known.join(", ")})`)
  }
}

/** A number within its bounds. @throws MurmurError `SOURCE_OPTION` naming the option, its bounds and what was found */
export function checkRange(source: string, option: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && value >= min && value <= max) return value
  throw optionError(source, `${option} must be a number from ${min} to ${max}, is ${show(value)}`)
}

/** One of a few values. @throws MurmurError `SOURCE_OPTION` naming the option and its values */
export function checkOneOf<T extends string>(source: string, option: string, value: unknown, values: readonly T[]): T {
  const found = values.find((candidate) => candidate === value)
  if (found !== undefined) return found
  throw optionError(source, `${option} must be one of ${values.join(", ")}, is ${show(value)}`)
}

/** An absolute path, of one relative to the working folder or of a `file:` URL. @throws MurmurError `SOURCE_OPTION` */
export function checkPath(source: string, option: string, value: unknown): string {
  if (value instanceof URL && value.protocol === "file:") return fileURLToPath(value)
  if (typeof value === "string" && value !== "") return resolve(value)
  throw optionError(source, `${option} must be a path or a file: URL, is ${show(value)}`)
}

/** The error for a bad option; `problem` says what was wanted and what was found. */
export function optionError(source: string, problem: string, cause?: unknown): MurmurError {
  return new MurmurError(`Cannot define source "${source}": ${problem}`, { code: "SOURCE_OPTION", cause })
}

/** A value as it should stand in an error message: short, and unmistakable. */
export function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
