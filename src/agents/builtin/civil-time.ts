/** A date and a time as a calendar and a clock on the wall show them, in some time zone. */
export interface Civil {
  readonly year: number
  /** From 1. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

const DAY_MS = 86_400_000

/** Whether there is such a time zone: `Europe/Berlin`, `UTC`. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** What calendar and clock show at an instant. */
export function civilAt(ms: number, timeZone: string): Civil {
  const format = new Intl.DateTimeFormat("en-u-ca-iso8601", {
    ...{ timeZone, hourCycle: "h23", era: "short" },
    ...{ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
  })
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0
  return {
    ...{ year: part("year"), month: part("month"), day: part("day") },
    ...{ hour: part("hour"), minute: part("minute"), second: part("second") },
  }
}

/**
 * The instant at which calendar and clock show this. Where clocks are put forward over it, as much later as they are put
 * forward; where they show it twice, the first time. Days and months over or under count on: day 32 of January is 1 February.
 */
export function instantOf(civil: Civil, timeZone: string): number {
  const shown = utcOf(civil)
  const candidates = [shown - DAY_MS, shown + DAY_MS].map((near) => shown - offsetMs(near, timeZone))
  const right = candidates.filter((ms) => ms + offsetMs(ms, timeZone) === shown)
  if (right.length > 0) return Math.min(...right)
  return Math.max(...candidates)
}

/** How far clocks are ahead of UTC at an instant. */
export function offsetMs(ms: number, timeZone: string): number {
  return utcOf(civilAt(ms, timeZone)) - Math.floor(ms / 1_000) * 1_000
}

/** The date alone. */
export function midnight({ year, month, day }: Civil): Civil {
  return { year, month, day, hour: 0, minute: 0, second: 0 }
}

/** Which day of the week it is, from Sunday as 0. */
export function weekdayOf(civil: Civil): number {
  return new Date(utcOf(civil)).getUTCDay()
}

export function addDays(civil: Civil, days: number): Civil {
  return normal({ ...civil, day: civil.day + days })
}

/** The same day in another month, or the last day of that month where it has no such day. */
export function addMonths(civil: Civil, months: number): Civil {
  const first = normal({ ...civil, day: 1, month: civil.month + months })
  const last = addDays(normal({ ...first, month: first.month + 1 }), -1).day
  return { ...first, day: Math.min(civil.day, last) }
}

/** Whether calendars and clocks can show it. */
export function isCivil(civil: Civil): boolean {
  const same = normal(civil)
  return Object.keys(same).every((part) => same[part as keyof Civil] === civil[part as keyof Civil])
}

function utcOf({ year, month, day, hour, minute, second }: Civil): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day) // Date.UTC takes the years 0 to 99 for 1900 to 1999
  date.setUTCHours(hour, minute, second)
  return date.getTime()
}

function normal(civil: Civil): Civil {
  return civilAt(utcOf(civil), "UTC")
}
