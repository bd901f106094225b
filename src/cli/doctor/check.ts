/** One thing that was looked at. */
export interface Check {
  readonly check: string
  /** Whether it is as it must be. */
  readonly ok: boolean
  /** What was found. */
  readonly detail: string
  /** What to do: how to mend it, or, when it is well, what else there is to know. */
  readonly fix: string | null
}

/** A check that passed. */
export function fine(check: string, detail: string, advice: string | null = null): Check {
  return { check, ok: true, detail, fix: advice }
}

/** A check that failed, and how to mend it. */
export function bad(check: string, detail: string, fix: string): Check {
  return { check, ok: false, detail, fix }
}

const SHOWN_MAX = 5

/** Some names, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length - SHOWN_MAX
  return names.slice(0, SHOWN_MAX).join(", ") + (more > 0 ? `, and ${more} more` : "")
}
