import { MurmurError } from "../errors.js"
import { type Log, silentLog } from "./ports.js"
import type { Redactor } from "./redact.js"

/** What is written: this level and all above it. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent"

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"]

/** Where lines go; a line ends with a newline. */
export interface LineSink {
  write(line: string): unknown
}

/** Takes a line besides the sink, as it is there: redacted, and of a level that is on. */
export type LineForward = (level: Exclude<LogLevel, "silent">, fields: object, message: string) => void

export interface LogOptions {
  readonly level: LogLevel
  /** Lines for people instead of JSON. */
  readonly pretty: boolean
  readonly redactor: Redactor
  /** On every line. */
  readonly base: Readonly<Record<string, string>>
  /** Fields of the moment, such as the ids of the active span. */
  readonly mixin: () => object
  /** Default: standard error. */
  readonly sink?: LineSink | undefined
  /** Whoever else wants the lines now; asked at each. */
  readonly forward?: () => LineForward | undefined
}

/**
 * Checks a level.
 *
 * @throws MurmurError `LOG_LEVEL`
 */
export function checkLevel(level: string, from: string): LogLevel {
  const known = LEVELS.find((name) => name === level.trim().toLowerCase())
  if (known !== undefined) return known
  throw new MurmurError(`Cannot log at ${from}=${JSON.stringify(level)}: it must be one of ${LEVELS.join(", ")}`, {
    code: "LOG_LEVEL",
    details: { level },
  })
}

/** A log on pino, which is loaded here. Fields and messages pass the redactor; levels that are off cost an empty call. */
export async function createLog(options: LogOptions): Promise<Log> {
  if (options.level === "silent") return silentLog
  const { pino } = await import("pino")
  const destination = await sinkOf(options, pino.destination)
  const logger = pino(
    {
      level: options.level,
      base: options.base,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => options.mixin(),
    },
    destination,
  )
  const { redactor, forward } = options
  const on = LEVELS.slice(LEVELS.indexOf(options.level))
  const write = (level: Exclude<LogLevel, "silent">, fields: object, message: string): void => {
    const clean = redactor.value(fields) as object
    const text = redactor.text(message)
    logger[level](clean, text)
    forward?.()?.(level, clean, text)
  }
  const at = (level: Exclude<LogLevel, "silent">): Log["info"] =>
    on.includes(level) ? (fields, message) => write(level, fields, message) : silentLog[level]
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}

/** Synchronous, so that the last words of a dying process are not lost in a buffer. */
async function sinkOf(
  options: LogOptions,
  file: (options: { dest: number; sync: boolean }) => LineSink,
): Promise<{ write(line: string): void }> {
  const raw = options.sink ?? file({ dest: 2, sync: true })
  if (!options.pretty) return raw
  const { prettyFactory } = await import("pino-pretty")
  const pretty = prettyFactory({
    colorize: options.sink === undefined && process.env.NO_COLOR === undefined,
    ignore: Object.keys(options.base).join(","),
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
  })
  return { write: (line) => void raw.write(pretty(line) ?? "") }
}
