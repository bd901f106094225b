import type { Distribution } from "../measures/recovery.js"
import type { Calls } from "../measures/state.js"
import type { Throughput } from "../measures/throughput.js"
import { CALL_VARIANTS, INFLIGHT, STATE_VARIANTS, VARIANT_NAMES } from "../measures/variants.js"
import { KEYS } from "../support/mesh.js"
import type { Results, Sync } from "./results.js"
import { cell, round, section, syncName, table } from "./text.js"

/** Steps of agents with state. */
export function state(sync: Sync, found: Throughput | undefined): string[] {
  if (found === undefined) return []
  const rows = STATE_VARIANTS.flatMap((variant) => {
    const { eventsPerSecond, cpuUsPerEvent, serverCpuUsPerEvent } = found.variants[variant] ?? {}
    if (eventsPerSecond === undefined || cpuUsPerEvent === undefined) return []
    const server = serverCpuUsPerEvent === undefined ? "-" : round(serverCpuUsPerEvent.median)
    return [[`(${variant}) ${VARIANT_NAMES[variant]}`, cell(eventsPerSecond, 0), cell(cpuUsPerEvent), server]]
  })
  return section(`Steps of sessions, ${syncName(sync)}`, [
    `Consume an event, append one commit to the log of its key, fenced, publish one result, ack. ${found.events} events of ${KEYS} keys, ${INFLIGHT} in work at a time, those of a key one after the other; the first ${found.warmup} do not count.`,
    "",
    ...table(["", "steps/s", "CPU us/step", "server CPU us/step"], rows),
    "",
    ...table(
      ["ratio", "steps/s"],
      Object.entries(found.ratios).map(([name, value]) => [name, cell(value, 2)]),
    ),
  ])
}

/** Calls that a step has journaled. */
export function calls(sync: Sync, found: Calls | undefined): string[] {
  if (found === undefined) return []
  const { callsPerStep, alone, together } = found
  const rows = CALL_VARIANTS.flatMap((variant) => {
    const [one, many] = [alone.variants[variant], together.variants[variant]]
    if (one === undefined || many === undefined) return []
    const ms = 1_000 / (one.eventsPerSecond.median * callsPerStep)
    const rate = many.eventsPerSecond.median * callsPerStep
    const cpu = many.cpuUsPerEvent.median / callsPerStep
    return [[`(${variant}) ${VARIANT_NAMES[variant]}`, round(ms, 3), round(rate, 0), round(cpu)]]
  })
  const ratio = [alone.ratios["h/g"], together.ratios["h/g"]].map((spread) => spread && cell(spread, 2))
  return section(`A journaled call, ${syncName(sync)}`, [
    `Steps of ${callsPerStep} calls that do nothing, made one after the other, then one result. Its share of the step is in each call.`,
    "",
    ...table(["", "ms/call, one step at a time", `calls/s, ${INFLIGHT} steps at a time`, "CPU us/call"], rows),
    "",
    ...table(["ratio", "one step at a time", `${INFLIGHT} steps at a time`], [["h/g", ...ratio.map(String)]]),
  ])
}

/** What a long session costs to have in memory. */
export function fold({ fold: found }: Results): string[] {
  if (found === undefined) return []
  const { commits, snapshotEvery, whole, snapshot } = found
  const rows = [
    [`from the first commit on`, whole],
    [`with a snapshot after each ${snapshotEvery} commits`, snapshot],
  ] as const
  return section(`A session of ${commits} commits`, [
    "Milliseconds to have its state: the first time in a process, again with nothing of it in memory, and when it is in memory; and what `murmur session --at` takes for the middle of its log.",
    "",
    ...table(
      ["", "first", "cold", "warm", "as of the middle"],
      rows.map(([what, { first, cold, warm, view }]) => [
        what,
        round(first),
        cell(cold, 1),
        round(warm),
        cell(view, 0),
      ]),
    ),
  ])
}

/** How long a key waits when the node that has it is gone. */
export function recovery({ recovery: found }: Results): string[] {
  if (found === undefined) return []
  const row = (how: string, times: Distribution): string[] => [
    how,
    ...[times.min, times.p50, times.p90, times.max].map((ms) => round(ms, 0)),
  ]
  return section("Recovery", [
    `From the end of the node that owns a key to the next commit of that key by the node that stood by; an event each 20 ms, ${found.runs} runs each. What bounds it after a kill is the priority timeout (${found.priorityTimeoutMs} ms): so long after the last pull of its owner, which was up to 1,000 ms before, the server gives the consumer to another node.`,
    "",
    ...table(
      ["ms", "min", "p50", "p90", "max"],
      [row("after SIGKILL", found.killed), row("after a stop", found.stopped)],
    ),
  ])
}

/** What was done twice. */
export function duplicates({ duplicates: found }: Results): string[] {
  if (found === undefined) return []
  const { events, seconds, faults } = found
  const rows = [
    ["answers to appends and publishes that were lost", faults.lostPublishAcks],
    ["acks of events that were lost", faults.lostDeliveryAcks],
    ["events delivered again", faults.redeliveries],
    ["events stored again under their id", faults.storedAgain],
    ["connections broken", faults.brokenConnections],
  ] as const
  return section("Duplicates under faults", [
    `One node with an agent that pays for each event (a journaled call), commits and publishes one result; ${events} events in ${round(seconds)} s, faults all the while.`,
    "",
    ...table(
      ["fault", "times"],
      rows.map(([what, times]) => [what, String(times)]),
    ),
    "",
    ...table(
      ["commits made twice", "outputs stored twice", "calls paid twice", "events lost"],
      [[found.commits, found.outputs, found.calls, found.lost].map(String)],
    ),
  ])
}
