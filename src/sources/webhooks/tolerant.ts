import { z } from "zod"

/**
 * Building blocks for reading what a provider sends: an optional field may be missing, null, empty, or of a type
 * that nobody promised, and is then absent. Only what an event cannot do without is strict.
 */

const TEXT_LENGTH_MAX = 1_000

/** A text that may be missing; empty counts as missing. Cut at 1,000 characters. */
export const text = z
  .string()
  .transform((value) => (value === "" ? undefined : value.slice(0, TEXT_LENGTH_MAX)))
  .optional()
  .catch(undefined)

/** A flag that may be missing. */
export const flag = z.boolean().optional().catch(undefined)

/** A count that may be missing. */
export const count = z.number().int().nonnegative().optional().catch(undefined)

/** An id, sent as a number or a text. */
export const id = z.union([z.number().int(), z.string().min(1)]).transform(String)

/** A link that may be missing; anything but http and https is dropped, so that no page shows a `javascript:` link. */
export const link = z
  .url({ protocol: /^https?$/ })
  .optional()
  .catch(undefined)

/** A time in any form that JavaScript reads, as RFC 3339 in UTC; absent when it cannot be read. */
export const time = z
  .string()
  .transform((value) => {
    const date = new Date(value)
    return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
  })
  .optional()
  .catch(undefined)

/** A nested object that may be missing, null or something else. */
export function maybe<T extends z.ZodRawShape>(shape: T) {
  return z.object(shape).optional().catch(undefined)
}

/** Draft options that say when it happened, when that is known. */
export function at(time: string | undefined): { time?: string } {
  return time === undefined ? {} : { time }
}

/** The branch or tag of a git ref: what follows `prefix`, or nothing when the ref is of another kind. */
export function refName(prefix: "refs/heads/" | "refs/tags/", ref: string): string | undefined {
  return ref.startsWith(prefix) && ref.length > prefix.length ? ref.slice(prefix.length) : undefined
}
