import { addDays, addMonths, type Civil, isCivil, midnight, weekdayOf } from "./civil-time.js"

/** What {@link parseDate} understands; told to whoever wrote something else. */
export const DATE_GRAMMAR = [
  "now, today, tomorrow, yesterday, day after tomorrow, day before yesterday",
  "friday, this friday (today or later), next friday (after today), last friday (before today), friday next week",
  "in 3 days, 2 weeks ago, in an hour and 30 minutes (minutes, hours, days, weeks, months, years)",
  "next week, last month (same day), start of next month, end of week (weeks begin on Monday)",
  "2026-11-27, 27 November 2026, Nov 27, 27.11.2026",
  "each with a time before or after it: at 9, 9:00, 9am, 9:30 pm, noon, midnight",
].join("; ")

/** What an expression means: a date and time on calendar and clock, or so many seconds from now. */
export type DateMeaning =
  | { readonly kind: "civil"; readonly civil: Civil }
  | { readonly kind: "after"; readonly seconds: number }

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
const MONTHS = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
]
const NUMBERS = [
  "zero",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
]
const COUNT = `(?:\\d{1,5}|an?|${NUMBERS.join("|")})`
const UNIT = "(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)"
const SPAN = new RegExp(`^(in )?(${COUNT} ${UNIT}(?:(?:,| and|, and)? ${COUNT} ${UNIT}){0,5})( ago| from now| later)?$`)
const TIME =
  /(?:^| )(?:at )?(?:(noon|midday)|(midnight)|(\d{1,2})(?::(\d{2}))?(?::(\d{2}))? ?([ap]\.?m\.?)|(\d{1,2}):(\d{2})(?::(\d{2}))?|at (\d{1,2})(?: o'clock)?)(?= |$)/
const CHARS_MAX = 100

/**
 * Reads an expression in plain English.
 *
 * @param now what calendar and clock show now
 * @returns `undefined` for what it does not understand
 */
export function parseDate(expression: string, now: Civil): DateMeaning | undefined {
  if (expression.length > CHARS_MAX) return undefined
  const text = expression.trim().toLowerCase().replace(/\s+/g, " ").replace(/^on /, "")
  if (text === "now") return { kind: "after", seconds: 0 }
  const span = parseSpan(text, now)
  if (span !== undefined) return span
  const time = TIME.exec(text)
  const clock = time === null ? undefined : clockOf(time)
  if (time !== null && clock === undefined) return undefined
  const rest = (time === null ? text : text.replace(time[0], " "))
    .replace(/\s+/g, " ")
    .trim()
    .replace(/(^on |,$| at$| on$|,$)/g, "")
    .trim()
  if (rest === "" && clock === undefined) return undefined
  const day = rest === "" ? now : parseDay(rest, now)
  if (day === undefined) return undefined
  const civil = clock === undefined ? day : { ...midnight(day), ...clock }
  return isCivil(civil) ? { kind: "civil", civil } : undefined
}

function clockOf(match: RegExpExecArray): Pick<Civil, "hour" | "minute" | "second"> | undefined {
  const [, noon, midnightWord, hour12, minute12, second12, half, hour24, minute24, second24, atHour] = match
  if (noon !== undefined) return { hour: 12, minute: 0, second: 0 }
  if (midnightWord !== undefined) return { hour: 0, minute: 0, second: 0 }
  const minute = Number(minute12 ?? minute24 ?? 0)
  const second = Number(second12 ?? second24 ?? 0)
  if (hour12 !== undefined) {
    const hour = Number(hour12)
    return hour < 1 || hour > 12 ? undefined : { hour: (hour % 12) + (half?.startsWith("p") ? 12 : 0), minute, second }
  }
  return { hour: Number(hour24 ?? atHour), minute, second }
}

/** `in 3 days and 2 hours`, `a week ago`. Up to hours it counts time, from days on the calendar. */
function parseSpan(text: string, now: Civil): DateMeaning | undefined {
  const [, before, list = "", after] = SPAN.exec(text) ?? []
  if ((before === undefined) === (after === undefined)) return undefined
  const sign = after === " ago" ? -1 : 1
  let seconds = 0
  let civil = now
  for (const [, count = "", unit = ""] of list.matchAll(new RegExp(`(${COUNT}) (${UNIT})`, "g"))) {
    const amount = sign * numberOf(count)
    if (/^s/.test(unit)) seconds += amount
    else if (/^mi/.test(unit)) seconds += amount * 60
    else if (/^h/.test(unit)) seconds += amount * 3_600
    else civil = shifted(civil, unit, amount)
  }
  if (seconds === 0) return { kind: "civil", civil }
  if (civil === now) return { kind: "after", seconds }
  return undefined // "in a month and 3 hours" means nothing certain where clocks are changed
}

function numberOf(word: string): number {
  if (/^an?$/.test(word)) return 1
  const named = NUMBERS.indexOf(word)
  return named === -1 ? Number(word) : named
}

function shifted(civil: Civil, unit: string, amount: number): Civil {
  if (unit.startsWith("d")) return addDays(civil, amount)
  if (unit.startsWith("w")) return addDays(civil, 7 * amount)
  return addMonths(civil, unit.startsWith("y") ? 12 * amount : amount)
}

const DAYS: Readonly<Record<string, number>> = {
  ...{ today: 0, tomorrow: 1, yesterday: -1, "day after tomorrow": 2, "the day after tomorrow": 2 },
  ...{ "day before yesterday": -2, "the day before yesterday": -2 },
}

/** What names a day alone. */
function parseDay(text: string, now: Civil): Civil | undefined {
  const days = Object.hasOwn(DAYS, text) ? DAYS[text] : undefined
  if (days !== undefined) return addDays(midnight(now), days)
  return parseWeekday(text, now) ?? parseEdge(text, now) ?? parseShift(text, now) ?? parseCalendar(text, now)
}

function parseWeekday(text: string, now: Civil): Civil | undefined {
  const [, which, name = "", week] =
    /^(this |next |last )?([a-z]+)( next week| last week| this week)?$/.exec(text) ?? []
  const weekday = WEEKDAYS.findIndex((each) => each === name || (name.length >= 3 && each.startsWith(name)))
  if (weekday === -1 || (which !== undefined && week !== undefined)) return undefined
  const today = midnight(now)
  if (week !== undefined) {
    const monday = addDays(
      today,
      -((weekdayOf(today) + 6) % 7) + (week === " next week" ? 7 : week === " last week" ? -7 : 0),
    )
    return addDays(monday, (weekday + 6) % 7)
  }
  const ahead = (weekday - weekdayOf(today) + 7) % 7
  if (which === "next ") return addDays(today, ahead === 0 ? 7 : ahead)
  return addDays(today, which === "last " ? ahead - 7 : ahead)
}

/** `start of next month`, `end of week`: the first moment, and the last second. */
function parseEdge(text: string, now: Civil): Civil | undefined {
  const match = /^(?:the )?(start|beginning|end) of (?:the )?(this |next |last )?(day|week|month|year)$/.exec(text)
  if (match === null) return undefined
  const [, edge, which, unit = ""] = match
  const turns = (which === "next " ? 1 : which === "last " ? -1 : 0) + (edge === "end" ? 1 : 0)
  const start = addTurns(startOf(unit, midnight(now)), unit, turns)
  return edge === "end" ? { ...addDays(start, -1), hour: 23, minute: 59, second: 59 } : start
}

function startOf(unit: string, day: Civil): Civil {
  if (unit === "week") return addDays(day, -((weekdayOf(day) + 6) % 7))
  if (unit === "month") return { ...day, day: 1 }
  return unit === "year" ? { ...day, day: 1, month: 1 } : day
}

const addTurns = (civil: Civil, unit: string, turns: number): Civil => shifted(civil, unit, turns)

/** `next week`: the same day of it. */
function parseShift(text: string, now: Civil): Civil | undefined {
  const [, which, unit] = /^(next|last) (week|month|year)$/.exec(text) ?? []
  return unit === undefined ? undefined : shifted(midnight(now), unit, which === "next" ? 1 : -1)
}

function parseCalendar(text: string, now: Civil): Civil | undefined {
  const iso = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (iso !== null) return dateOf(iso[1], iso[2], iso[3])
  const dotted = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(text)
  if (dotted !== null) return dateOf(dotted[3], dotted[2], dotted[1])
  const dayFirst = /^(\d{1,2})(?:st|nd|rd|th)?(?: of)? ([a-z]{3,9})\.?,?(?: (\d{4}))?$/.exec(text)
  const monthFirst = /^([a-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,?(?: (\d{4}))?$/.exec(text)
  const [day, name, year] = dayFirst === null ? [monthFirst?.[2], monthFirst?.[1], monthFirst?.[3]] : dayFirst.slice(1)
  const month = name === undefined ? 0 : MONTHS.findIndex((each) => each.startsWith(name)) + 1
  if (month === 0) return undefined
  if (year !== undefined) return dateOf(year, String(month), day)
  const thisYear = dateOf(String(now.year), String(month), day)
  const isPast = month < now.month || (month === now.month && Number(day) < now.day)
  return isPast ? dateOf(String(now.year + 1), String(month), day) : thisYear
}

function dateOf(year = "", month = "", day = ""): Civil | undefined {
  const civil = { year: Number(year), month: Number(month), day: Number(day), hour: 0, minute: 0, second: 0 }
  return isCivil(civil) ? civil : undefined
}
