const ZONED = /:.*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})\s*$/i

/**
 * The time that a field holds, in milliseconds since 1970. Numbers count seconds, milliseconds, microseconds or nanoseconds,
 * told apart by their size; eight digits are a day; a text without a time zone is UTC, so that a recording says
 * the same on every machine.
 */
export function parseTime(value: unknown): number | undefined {
  if (value instanceof Date) return finite(value.getTime())
  if (typeof value === "number") return fromNumber(value)
  if (typeof value !== "string" || value.trim() === "") return undefined
  const text = value.trim()
  const day = /^((?:19|20)\d{2})(\d{2})(\d{2})$/.exec(text)
  if (day !== null) return finite(Date.parse(`${day[1]}-${day[2]}-${day[3]}`))
  if (/^-?\d+(?:\.\d+)?$/.test(text)) return fromNumber(Number(text))
  if (ZONED.test(text)) return finite(Date.parse(text))
  return finite(Date.parse(text.replace(/^(\d{4}-\d{2}-\d{2})T/, "$1 ").concat(" UTC")))
}

function fromNumber(value: number): number | undefined {
  const size = Math.abs(value)
  if (size < 1e11) return finite(value * 1_000)
  if (size < 1e14) return finite(value)
  return finite(size < 1e17 ? value / 1_000 : value / 1_000_000)
}

/** Outside of these JavaScript has no dates. */
function finite(ms: number): number | undefined {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : undefined
}

/** Says how long to wait before each row, so that recorded time runs `speed` times as fast as the clock. */
export class Pacer {
  readonly #speed: number | "max"
  readonly #maxGapMs: number
  #anchor: { clock: number; time: number } | undefined

  constructor(speed: number | "max", maxGapMs = Number.POSITIVE_INFINITY) {
    this.#speed = speed
    this.#maxGapMs = maxGapMs
  }

  /** Milliseconds from `clock` until the row of this recorded time is due. Rows that are late are due at once. */
  delay(time: number, clock: number): number {
    if (this.#speed === "max") return 0
    this.#anchor ??= { clock, time }
    const due = this.#anchor.clock + (time - this.#anchor.time) / this.#speed
    const wait = Math.max(0, due - clock)
    if (wait <= this.#maxGapMs) return wait
    // The rest of the gap is skipped: from here on time counts from this row.
    this.#anchor = { clock: clock + this.#maxGapMs, time }
    return this.#maxGapMs
  }
}
