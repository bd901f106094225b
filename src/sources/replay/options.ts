import type { EventDefinition } from "../../bus/define-event.js"
import { checkKnown, checkOneOf, checkPath, checkRange, optionError, show } from "../options.js"
import type { Row } from "./records.js"

/** What `map` is told besides the row. */
export interface RowInfo {
  /** The time that the event will have. */
  readonly time: Date
  readonly line: number
  /** How often the file was played before. */
  readonly pass: number
}

/** Options of {@link replay}. `R` is a row: all columns are texts in CSV, anything in JSON Lines. */
export interface ReplayOptions<T, R extends Row = Row> {
  readonly name: string
  /** Path relative to the working folder of the process, or a `file:` URL such as `new URL("./prices.csv", import.meta.url)`. */
  readonly file: string | URL
  /** Default by the file's ending: `.jsonl` and `.ndjson` are JSON Lines, all else is CSV with a header. */
  readonly format?: "csv" | "jsonl"
  /** What separates the columns of CSV; default a comma. */
  readonly delimiter?: string
  readonly event: EventDefinition<T>
  /** The event's data of a row; `undefined` leaves the row out. */
  map(row: R, info: RowInfo): T | undefined
  /** The field that says when it happened, or a function that finds it: a date, RFC 3339, or seconds to nanoseconds since 1970. Without a time zone it is UTC. */
  readonly timeField: string | ((row: R) => unknown)
  /** How many times faster than recorded: 60 plays an hour in a minute. `max` does not wait at all. */
  readonly speed: number | "max"
  /** Begins again at the end, for ever. Default false. */
  readonly loop?: boolean
  /** Longest pause between two rows, in milliseconds: shortens nights and weekends. Default: no limit. */
  readonly maxGapMs?: number
  /** The events' time: as recorded (`original`, the default), or that of their publishing (`now`). With `loop` recorded time starts over each pass; windows want `now`. */
  readonly timeline?: "original" | "now"
  /** A row that cannot be used is logged and left out (`skip`, the default), or ends the replay with an error (`stop`). */
  readonly onMalformed?: "skip" | "stop"
  /** Whether a restarted node goes on where it was (the default), or plays the file from the start, as a new pass. */
  readonly resume?: boolean
}

const KNOWN = [
  ...["name", "file", "format", "delimiter", "event", "map", "timeField", "speed", "loop", "maxGapMs"],
  ...["timeline", "onMalformed", "resume"],
]

/** Options that were checked, with their defaults. */
export interface Replaying<T, R extends Row> {
  readonly name: string
  readonly path: string
  readonly format: "csv" | "jsonl"
  readonly delimiter: string
  readonly event: EventDefinition<T>
  readonly map: (row: R, info: RowInfo) => T | undefined
  readonly timeOf: (row: R) => unknown
  readonly speed: number | "max"
  readonly loop: boolean
  readonly maxGapMs: number
  readonly timeline: "original" | "now"
  readonly onMalformed: "skip" | "stop"
  readonly resume: boolean
}

/** @throws MurmurError `SOURCE_OPTION` */
export function checkReplay<T, R extends Row>(options: ReplayOptions<T, R>): Replaying<T, R> {
  const { name, timeField, speed, loop = false, delimiter = ",", resume = true } = options
  checkKnown(name, options, KNOWN)
  const path = checkPath(name, "file", options.file)
  if (typeof options.map !== "function") throw optionError(name, `map must be a function, is ${show(options.map)}`)
  if (typeof timeField !== "function" && (typeof timeField !== "string" || timeField === "")) {
    throw optionError(name, `timeField must be the name of a field or a function, is ${show(timeField)}`)
  }
  if (typeof delimiter !== "string" || delimiter.length !== 1 || '"\r\n'.includes(delimiter)) {
    throw optionError(name, `delimiter must be one character other than a quote or a line end, is ${show(delimiter)}`)
  }
  if (loop && speed === "max") {
    throw optionError(name, 'loop with the speed "max" would fill the store: give a speed as a number')
  }
  return {
    ...{ name, path, delimiter, loop, resume, event: options.event, map: (row, info) => options.map(row, info) },
    format: checkOneOf(name, "format", options.format ?? formatOf(path), ["csv", "jsonl"]),
    timeOf: typeof timeField === "function" ? timeField : (row) => row[timeField],
    speed: speed === "max" ? speed : checkRange(name, "speed", speed, 1e-6, 1e9),
    maxGapMs: checkRange(name, "maxGapMs", options.maxGapMs ?? Infinity, 0, Infinity),
    timeline: checkOneOf(name, "timeline", options.timeline ?? "original", ["original", "now"]),
    onMalformed: checkOneOf(name, "onMalformed", options.onMalformed ?? "skip", ["skip", "stop"]),
  }
}

function formatOf(path: string): "csv" | "jsonl" {
  return /\.(?:jsonl|ndjson)$/i.test(path) ? "jsonl" : "csv"
}
