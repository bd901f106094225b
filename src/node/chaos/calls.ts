import { z } from "zod"
import type { BusCore } from "../../bus/bus-core.js"
import { readAllMessages } from "../audit/read.js"
import type { BillLine } from "./bill.js"

/** A time in which a process stood still, in milliseconds since the epoch. */
export interface Standstill {
  readonly pid: number
  readonly from: number
  readonly to: number
}

/** What was paid for, against what had to be. */
export interface CallCount {
  /** How many calls the events needed. */
  readonly wanted: number
  readonly made: number
  /** Repeated, since nobody could know how the call before had ended: it was under way when its process was struck. */
  readonly inFlight: number
  /** Repeated although the answer was in the journal, as `event call`: a broken promise. */
  readonly again: readonly string[]
  /** Never made, as `event call`: what was answered there is invented. */
  readonly never: readonly string[]
}

/** A call that is begun while the answer is on its way to the disk is still in flight, in milliseconds. */
const SLACK_MS = 250
/** A process that wakes up goes on with the call that it was about to make, so long afterwards at most. */
const WAKING_MS = 1_000

/**
 * Holds the bill to the promise that a call whose answer is in the journal is not made again.
 *
 * @param wanted all calls that the events need, as `event call`
 * @param answeredAt when the answer to a call was stored
 * @param standstills besides those on the bill: a process that stood still may make the very call that it was about to make: it cannot know
 */
export function countCalls(
  lines: readonly BillLine[],
  wanted: readonly string[],
  answeredAt: ReadonlyMap<string, number>,
  standstills: readonly Standstill[],
): CallCount {
  const calls = lines.filter((line) => line.what === "called")
  const stills = [...standstills, ...noted(lines)]
  const seen = new Set<string>()
  const again: string[] = []
  for (const line of calls) {
    const name = `${line.event} ${line.call}`
    const answered = answeredAt.get(name) ?? Number.POSITIVE_INFINITY
    const known = seen.has(name) && line.at > answered + SLACK_MS
    if (known && !stills.some((still) => justWoke(line, still, answered))) again.push(name)
    seen.add(name)
  }
  const never = wanted.filter((name) => !seen.has(name))
  return { wanted: wanted.length, made: calls.length, inFlight: calls.length - seen.size - again.length, again, never }
}

/** The standstills that the processes themselves have noted. */
function noted(lines: readonly BillLine[]): Standstill[] {
  return lines.flatMap((line) =>
    line.what === "stood" ? [{ pid: line.pid, from: line.at - line.forMs, to: line.at }] : [],
  )
}

/** Whether the answer came while the process of this call stood still, and it made the call when it woke up. */
function justWoke({ pid, at }: Extract<BillLine, { what: "called" }>, still: Standstill, answeredAt: number): boolean {
  const during = answeredAt > still.from - SLACK_MS && answeredAt < still.to + SLACK_MS
  return pid === still.pid && during && at < still.to + WAKING_MS
}

/** What a record of a journal says of an answer. Records of other kinds have another `kind`. */
const AnswerRecord = z.object({ kind: z.literal("answer").optional(), call: z.string(), answer: z.unknown() })

/** When the answers of an agent's calls were stored, by `event call`. */
export async function readAnswers(bus: BusCore, agent: string): Promise<Map<string, number>> {
  const answers = new Map<string, number>()
  const filter = `${bus.names.mesh}.step.${agent}.*`
  for (const { subject, data, time } of await readAllMessages(bus, bus.names.stepsOf(agent), filter)) {
    const record = AnswerRecord.safeParse(JSON.parse(Buffer.from(data).toString()))
    if (!record.success) continue
    const name = `${subject.split(".").at(-1)} ${record.data.call.replace(/^run /, "")}`
    if (!answers.has(name)) answers.set(name, time.getTime())
  }
  return answers
}
