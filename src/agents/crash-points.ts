import { writeSync } from "node:fs"
import { MurmurError } from "../errors.js"

/**
 * The places in a step where a crash means something different for what comes after:
 *
 * - `P0` received, `P1` session read,
 * - `P2` a journaled call has begun, `P3` its result is back, `P4` it is in the journal,
 * - `P5` the commit is about to be appended, `P6` it is in the log, nothing is published,
 * - `P7` the first of several outputs is published, `P8` all are, `P9` the event is acked.
 */
export type CrashPoint = "P0" | "P1" | "P2" | "P3" | "P4" | "P5" | "P6" | "P7" | "P8" | "P9"

interface Armed {
  readonly point: string
  readonly signal: "SIGKILL" | "SIGSTOP"
  /** It strikes when it is passed for this time. */
  readonly nth: number
}

const FORM = /^(P\d):(kill|stop)(?::([1-9]\d*))?$/

function read(text: string | undefined): Armed | undefined {
  if (text === undefined || text === "") return undefined
  const [, point, how, nth = "1"] = FORM.exec(text) ?? []
  if (point === undefined) {
    throw new MurmurError(
      `Cannot use MURMUR_CRASH_POINT=${JSON.stringify(text)}: it must be a point P0 to P9 and what happens there, such as "P6:kill" or, at its third time, "P5:stop:3"; leave it unset but in tests`,
      { code: "CRASH_POINT" },
    )
  }
  return { point, signal: how === "kill" ? "SIGKILL" : "SIGSTOP", nth: Number(nth) }
}

const armed = read(process.env.MURMUR_CRASH_POINT)
let passed = 0

function pass(point: CrashPoint, afterMs?: number): void {
  if (point !== armed?.point) return
  passed += 1
  if (passed !== armed.nth) return
  if (afterMs === undefined) strike(point, armed.signal)
  else setTimeout(strike, afterMs, point, armed.signal)
}

/** Said on standard error before and, where the process lives on, after: the one who watches waits for it. */
function strike(point: CrashPoint, signal: Armed["signal"]): void {
  writeSync(2, `crash point ${point}: ${signal}\n`)
  process.kill(process.pid, signal)
  writeSync(2, `crash point ${point}: goes on\n`)
}

/**
 * A place where a test can let this process die (SIGKILL) or stand still (SIGSTOP) by the environment variable
 * `MURMUR_CRASH_POINT`. Does nothing without it.
 *
 * @param afterMs strikes so many milliseconds later, when what was sent has left the process
 */
export const crashPoint: (point: CrashPoint, afterMs?: number) => void = armed === undefined ? () => {} : pass

/** Whether this is the point where the process is to crash. */
export const crashesAt = (point: CrashPoint): boolean => armed?.point === point
