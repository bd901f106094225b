import type { ChaosReport } from "../node/chaos/report.js"
import { duration } from "./text.js"

/** What a run of chaos did and found, as rows of a table. */
export function reportRows(report: ChaosReport): (readonly [what: string, count: string | number])[] {
  const { events, duplicates, steps, calls, effects } = report
  return [
    ["seed", report.seed],
    ["duration", duration(report.durationMs)],
    ["nodes killed", report.kills],
    ["nodes stopped and woken", report.pauses],
    ["server killed", report.serverKills],
    ["events accepted", `${events.accepted} for ${events.keys} keys`],
    ["repeats published", `${duplicates.dropped} dropped by the server, ${duplicates.stored} stored again`],
    ["steps begun again", steps.again],
    ["calls billed", `${calls.made} for ${calls.wanted} wanted`],
    ["  in flight when struck", calls.inFlight],
    ["  again though answered", calls.again],
    ["effects", `${effects.stored} for ${effects.wanted} wanted`],
    ["lost", report.lost],
    ["doubled", report.doubled],
    ["out of order", report.outOfOrder],
    ["dead letters", report.deadLetters],
  ]
}
