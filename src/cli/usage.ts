import { MurmurError } from "../errors.js"

/** The command was written wrongly: exit code 2, and nothing was done. */
export function usageError(message: string): MurmurError {
  return new MurmurError(message, { code: "USAGE" })
}

/**
 * Reads a whole number given as an option.
 *
 * @throws MurmurError `USAGE`
 */
export function wholeNumber(option: string, min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    const wanted = max === Number.MAX_SAFE_INTEGER ? `a whole number >= ${min}` : `a whole number from ${min} to ${max}`
    throw usageError(`${option} must be ${wanted}, is ${JSON.stringify(text)}`)
  }
}

/**
 * Reads JSON given as an option.
 *
 * @throws MurmurError `USAGE`
 */
export function jsonValue(option: string): (text: string) => unknown {
  return (text) => {
    try {
      return JSON.parse(text)
    } catch (error) {
      throw usageError(`${option} must be JSON: ${(error as Error).message}. Quote it for the shell: '{"a":1}'`)
    }
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Reads a point in the past: how long ago (`500ms`, `90s`, `10m`, `2h`, `7d`), or a time (RFC 3339).
 *
 * @throws MurmurError `USAGE`
 */
export function pastTime(option: string): (text: string) => Date {
  return (text) => {
    const ago = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
    const time = ago
      ? new Date(Date.now() - Number(ago[1]) * (UNITS_MS[ago[2] ?? ""] ?? 0))
      : new Date(/^\d{4}-\d\d-\d\d/.test(text.trim()) ? text : Number.NaN)
    if (!Number.isNaN(time.getTime())) return time
    throw usageError(
      `${option} must be how long ago (90s, 10m, 2h, 7d) or a time (2026-01-31T12:00:00Z), is ${JSON.stringify(text)}`,
    )
  }
}

/**
 * Runs a check of an argument's form: what it refuses is wrong usage.
 *
 * @throws MurmurError `USAGE` with the message of what `check` threw
 */
export function checkedArgument<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw usageError((error as Error).message)
  }
}

/**
 * Reads a limit: a whole number, or `none` for no limit (`Infinity`).
 *
 * @throws MurmurError `USAGE`
 */
export function limit(option: string): (text: string) => number {
  const whole = wholeNumber(option, 0)
  return (text) => {
    if (text.trim() === "none") return Number.POSITIVE_INFINITY
    if (/^[+-]?\d+$/.test(text.trim())) return whole(text)
    throw usageError(`${option} must be a whole number >= 0, or "none", is ${JSON.stringify(text)}`)
  }
}

/**
 * Reads US dollars, as millionths of one; where it is a limit also `none` (`Infinity`).
 *
 * @throws MurmurError `USAGE`
 */
export function money(option: string, { least = 0, none = false } = {}): (text: string) => number {
  return (text) => {
    if (none && text.trim() === "none") return Number.POSITIVE_INFINITY
    const microUsd = /^\$?\d+(\.\d{1,6})?$/.test(text.trim())
      ? Math.round(Number(text.trim().replace("$", "")) * 1_000_000)
      : Number.NaN
    if (microUsd >= least && Number.isSafeInteger(microUsd)) return microUsd
    const wanted = `US dollars (5, 0.25)${least > 0 ? " above 0" : ""}${none ? ', or "none"' : ""}`
    throw usageError(`${option} must be ${wanted}, is ${JSON.stringify(text)}`)
  }
}

/**
 * Reads how long: `90s`, `10m`, `2h`, `30d`. In milliseconds.
 *
 * @throws MurmurError `USAGE`
 */
export function timeSpan(option: string): (text: string) => number {
  return (text) => {
    const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim()) ?? []
    const ms = Number(amount) * (UNITS_MS[unit] ?? 0)
    if (ms >= 1) return Math.round(ms)
    throw usageError(`${option} must be how long (90s, 10m, 2h, 30d), is ${JSON.stringify(text)}`)
  }
}

const UNITS_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}

/**
 * Reads how much: `500MiB`, `20GiB`, or bytes.
 *
 * @throws MurmurError `USAGE`
 */
export function byteCount(option: string): (text: string) => number {
  return (text) => {
    const [, amount = "", unit = "-"] = /^(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|TiB|)$/.exec(text.trim()) ?? []
    const bytes = Math.round(Number(amount) * (UNITS_BYTES[unit] ?? 0))
    if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
    throw usageError(`${option} must be how many bytes (500MiB, 20GiB), is ${JSON.stringify(text)}`)
  }
}

/**
 * Reads one of some words.
 *
 * @throws MurmurError `USAGE`
 */
export function oneOf<T>(option: string, values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((value) => String(value) === text.trim())
    if (found !== undefined) return found
    throw usageError(`${option} must be one of ${values.join(", ")}, is ${JSON.stringify(text)}`)
  }
}

/**
 * Reads addresses (`http://host:8222`) with commas in between.
 *
 * @throws MurmurError `USAGE`
 */
export function urlList(option: string): (text: string) => string[] {
  return (text) => {
    const urls = text.split(",").map((url) => url.trim())
    const wrong = urls.find((url) => !URL.canParse(url) || !/^https?:/.test(url))
    if (wrong === undefined) return urls
    throw usageError(
      `${option} must be addresses such as http://host:8222, with commas in between, is ${JSON.stringify(text)}`,
    )
  }
}
