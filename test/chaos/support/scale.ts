import { onTestFailed, test } from "vitest"
import { seeded } from "./seeded.js"

/** Whether the long form was asked for: `npm run test:chaos -- --long`. */
export const LONG = process.env.CHAOS_LONG === "1"

/** How long what goes on at random goes on in the long form, in milliseconds. */
export const LASTS_MS = Number(process.env.CHAOS_MINUTES ?? 1) * 60_000

const SEED = Number(process.env.CHAOS_SEED ?? 1)

/** One number for the short form, one for the long one. */
export function sized(short: number, long: number): number {
  return LONG ? long : short
}

/** A test of the long form alone. */
export const longTest = test.skipIf(!LONG)

/** Chance, for one test. Which seed it was is said when the test fails. */
export function chance(): () => number {
  onTestFailed(() => void process.stderr.write(`The same again: npm run test:chaos -- --seed ${SEED}\n`))
  return seeded(SEED)
}
