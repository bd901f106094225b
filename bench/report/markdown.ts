import type { Latency } from "../measures/latency.js"
import type { Throughput } from "../measures/throughput.js"
import { INFLIGHT, VARIANT_NAMES, VARIANTS, type Variant } from "../measures/variants.js"
import { KEYS } from "../support/mesh.js"
import { type Aim, aimsOf } from "./aims.js"
import { calls, duplicates, fold, recovery, state } from "./durable.js"
import { minds } from "./minds.js"
import { nodes } from "./nodes.js"
import type { Results, Sync } from "./results.js"
import { cell, round, section, syncName, table } from "./text.js"

/** The results as a page for people. */
export function renderMarkdown(results: Results): string {
  return `${[
    ...head(results),
    ...aims(aimsOf(results)),
    ...(["default", "always"] as const).flatMap((sync) => throughput(sync, results.throughput[sync])),
    ...(["default", "always"] as const).flatMap((sync) => latency(sync, results.latency[sync])),
    ...(["default", "always"] as const).flatMap((sync) => state(sync, results.state[sync])),
    ...(["default", "always"] as const).flatMap((sync) => calls(sync, results.calls[sync])),
    ...fold(results),
    ...recovery(results),
    ...nodes(results),
    ...duplicates(results),
    ...fanOut(results),
    ...minds(results),
    ...cli(results),
    ...memory(results),
    ...routes(results),
    ...bullmq(results),
    ...profile(results),
  ].join("\n")}\n`
}

function head({ date, command, seconds, machine }: Results): string[] {
  const { cpu, cores, memoryGiB, system, node, natsServer, loadBefore } = machine
  return [
    "# Results of the benchmark",
    "",
    "Written by the command below; do not edit. What each part does is in [README.md](README.md).",
    "",
    ...table(
      ["", ""],
      [
        ["date", date],
        ["command", `\`${command}\` (${Math.round(seconds)} s)`],
        ["machine", `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}`],
        ["Node", node],
        ["nats-server", natsServer],
        ["load before", `${loadBefore} (one-minute average, on ${cores} cores)`],
      ],
    ),
    "",
    "Client, server and observer share the cores, so absolute numbers are those of this machine. Variants run in turns on one",
    "server; a ratio is the median of the rounds' ratios, smallest to largest in brackets.",
  ]
}

function aims(found: readonly Aim[]): string[] {
  const rows = found.map(({ what, atLeast, atMost, found: value, range, met }) => [
    what,
    atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`,
    `${round(value)}${range === undefined ? "" : ` (${round(range[0])} to ${round(range[1])})`}`,
    met ? "met" : "**missed**",
  ])
  return section("Aims", table(["aim", "wanted", "found", ""], rows))
}

function throughput(sync: Sync, found: Throughput | undefined): string[] {
  if (found === undefined) return []
  const rows = VARIANTS.flatMap((variant) => {
    const { eventsPerSecond, cpuUsPerEvent, serverCpuUsPerEvent } = found.variants[variant] ?? {}
    if (eventsPerSecond === undefined || cpuUsPerEvent === undefined) return []
    const server = serverCpuUsPerEvent === undefined ? "-" : round(serverCpuUsPerEvent.median)
    return [[`(${variant}) ${VARIANT_NAMES[variant]}`, cell(eventsPerSecond, 0), cell(cpuUsPerEvent), server]]
  })
  const rounds = found.variants.a?.eventsPerSecond.runs ?? 0
  return section(`Throughput, ${syncName(sync)}`, [
    `Consume an event, publish one result, ack. ${found.events} events of ${KEYS} keys wait on the bus, ${INFLIGHT} are in work at a time, the first ${found.warmup} do not count; ${rounds} rounds.`,
    "",
    ...table(["", "events/s", "CPU us/event", "server CPU us/event"], rows),
    "",
    ...table(
      ["ratio", "events/s"],
      Object.entries(found.ratios).map(([name, value]) => [name, cell(value, 2)]),
    ),
  ])
}

function latency(sync: Sync, found: Latency | undefined): string[] {
  if (found === undefined) return []
  const rows = VARIANTS.flatMap((variant) => {
    const measured = found.variants[variant]
    if (measured === undefined) return []
    return [[`(${variant}) ${VARIANT_NAMES[variant]}`, cell(measured.p50, 2), cell(measured.p99, 2)]]
  })
  return section(`Latency, ${syncName(sync)}`, [
    `From publish to the moment at which an observer of the stream has the result, at ${found.rate} events/s, ${found.samplesPerRound} events in each round. (a) and the other serve at the same time: a stall of disk or machine, which is most of a p99, hits both.`,
    "",
    ...table(["", "p50 ms", "p99 ms"], rows),
    "",
    ...table(
      ["p99 ratio", ""],
      Object.entries(found.p99Ratios).map(([name, value]) => [name, cell(value, 2)]),
    ),
  ])
}

function fanOut({ fanOut: found }: Results): string[] {
  if (found === undefined) return []
  const rows = Object.entries(found.agents).map(([agents, { stepsPerSecond, cpuUsPerStep }]) => [
    agents,
    cell(stepsPerSecond, 0),
    cell(cpuUsPerStep),
  ])
  return section("Fan-out, default sync", [
    `Each event concerns all agents of one node; each of them publishes a result of its own (${found.events} events for ten agents, as many steps for one).`,
    "",
    ...table(["agents", "steps/s", "CPU us/step"], rows),
  ])
}

function cli({ cli: found }: Results): string[] {
  if (found === undefined) return []
  const rows = Object.entries(found.commands).map(([name, { ms, timesNode }]) => [
    `\`${name}\``,
    cell(ms, 0),
    cell(timesNode, 2),
  ])
  return section("Start of the command line", [
    `From start to end of the process, ${found.runs} runs in turns.`,
    "",
    ...table(["", "ms", "times bare Node"], [['`node -e ""`', cell(found.node, 0), "1"], ...rows]),
  ])
}

function memory({ memory: found }: Results): string[] {
  if (found === undefined) return []
  const row = (what: string, { keys, heapBytes, rssBytes }: { keys: number; heapBytes: number; rssBytes: number }) => [
    what,
    String(keys),
    round(heapBytes),
    round(rssBytes),
  ]
  const { react } = found
  return section("Memory of a session", [
    "After a forced collection, over what the process used before these keys came. RSS swings with what the allocator gives back.",
    "",
    ...table(
      ["", "keys", "heap bytes each", "RSS bytes each"],
      [
        ...found.handle.map((reading) => row("handler agent, idle", reading)),
        ...(react === undefined
          ? []
          : [
              row("react agent, one event in an open window", react.open),
              row("react agent, window closed", react.closed),
            ]),
      ],
    ),
    "",
    "A react agent keeps at most 10,000 pipelines; beyond, those that were quiet longest and hold no window are dropped and made again when their key comes back.",
  ])
}

function routes({ routes: found }: Results): string[] {
  if (found === undefined) return []
  const counts = Object.keys(Object.values(found)[0] ?? {})
  const rows = Object.entries(found).map(([kind, byCount]) => [
    kind,
    ...counts.map((count) => `${byCount[Number(count)]?.matchTenEvents} / ${byCount[Number(count)]?.concerns}`),
  ])
  return section("Route matching", [
    "Nanoseconds to find all routes of an event / to ask whether it concerns one agent, by number of routes; each event fits one route at most. The same ten events again and again, so that it is the algorithm that counts and not the processor's cache; the least of several runs. The last kind has no index: those are evaluated one by one, which a filter with an equality beside the comparison avoids.",
    "",
    ...table(["", ...counts.map((count) => `${count} routes`)], rows),
  ])
}

function bullmq({ bullmq: found }: Results): string[] {
  if (found === undefined) return []
  if ("skipped" in found) return section("The same job on BullMQ", [`Skipped: ${found.skipped}`])
  const rows = Object.entries(found.fsync).map(([when, { eventsPerSecond, cpuUsPerEvent }]) => [
    when,
    cell(eventsPerSecond, 0),
    cell(cpuUsPerEvent),
  ])
  return section("The same job on BullMQ", [
    `BullMQ ${found.bullmq} on Redis ${found.redis} with an append-only file: take a job, add one with its result, complete. No schema, no order by key, ${INFLIGHT} at a time.`,
    "",
    ...table(["appendfsync", "jobs/s", "CPU us/job"], rows),
  ])
}

function profile({ profile: found }: Results): string[] {
  const parts = Object.entries(found).flatMap(([variant, spots]) => [
    `### (${variant}) ${VARIANT_NAMES[variant as Variant]}`,
    "",
    ...table(
      ["% of busy time", "function", "where"],
      spots.map(({ percent, name, at }) => [String(percent), `\`${name}\``, at]),
    ),
    "",
  ])
  if (parts.length === 0) return []
  return section("Where the time goes", [
    "Functions with the most time of their own (`node --cpu-prof`, default sync, start of the process included).",
    "",
    ...parts.slice(0, -1),
  ])
}
