import type { SessionPoint } from "../node/session-view.js"
import { pastTime, usageError } from "./usage.js"

/** Parses a point in a session's log: a sequence, or a time as `--since` takes it. */
export function point(option: string): (text: string) => SessionPoint {
  const time = pastTime(option)
  return (text) => (/^\d+$/.test(text) ? { seq: Number(text) } : { time: time(text) })
}

/** Parses `a..b`; without `b` it is the end. */
export function pointRange(option: string): (text: string) => { from: SessionPoint; to: SessionPoint } {
  const parse = point(option)
  return (text) => {
    const [from, to, ...rest] = text.split("..")
    if (!from || to === undefined || rest.length > 0) {
      throw usageError(`${option} takes two points, such as 120..180 or 1h..10m, not "${text}"`)
    }
    return { from: parse(from), to: to === "" ? "end" : parse(to) }
  }
}
