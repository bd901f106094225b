import { appendFileSync, readFileSync } from "node:fs"
import { z } from "zod"

/** The variable that names the file in which the demo's nodes write down what they do. */
export const BILL_VARIABLE = "MURMUR_CHAOS_BILL"

/** Who wrote a line, and when, in milliseconds since the epoch. */
const Stamp = { pid: z.number(), at: z.number() }

/** One line of the bill. */
const BillLine = z.discriminatedUnion("what", [
  /** A handler began. */
  z.object({ what: z.literal("began"), event: z.string(), ...Stamp }),
  /** A call was paid for. */
  z.object({ what: z.literal("called"), event: z.string(), call: z.string(), ...Stamp }),
  /** The process stood still for so long, until now: it was stopped, or the machine had no time for it. */
  z.object({ what: z.literal("stood"), forMs: z.number(), ...Stamp }),
])
export type BillLine = z.infer<typeof BillLine>

/** A line without its stamp. */
type Unstamped<T> = T extends BillLine ? Omit<T, keyof typeof Stamp> : never

/**
 * Adds a line. It is in the file when this returns, also when the process is killed a moment later: what is billed
 * cannot be taken back.
 */
export function bill(file: string, line: Unstamped<BillLine>): void {
  appendFileSync(file, `${JSON.stringify({ ...line, pid: process.pid, at: Date.now() })}\n`)
}

/** Reads the bill, in the order in which it was written. */
export function readBill(file: string): BillLine[] {
  const lines = readFileSync(file, "utf8").split("\n")
  return lines.filter((line) => line !== "").map((line) => BillLine.parse(JSON.parse(line)))
}
