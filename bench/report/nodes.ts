import type { SettingRates } from "../measures/rates.js"
import type { Distribution, Ending } from "../measures/recovery.js"
import { NODE_COUNTS, type ScaleOut } from "../measures/scale-out.js"
import { PARTITIONS, WAIT_CONCURRENCY, WAIT_MS, WORKS, type Work } from "../support/shards.js"
import type { Results } from "./results.js"
import { cell, round, section, syncName, table } from "./text.js"

/** More nodes, more servers, and who may do what. */
export function nodes({ nodes: found, machine }: Results): string[] {
  if (found === undefined) return []
  const { failover, security, replicas } = found
  return [
    ...scaleOut(found.scaleOut, machine.cores),
    ...section("Failover", [
      "As above, several pairs of nodes side by side: SIGKILL, a stop as on SIGTERM, and `murmur drain`.",
      "",
      ...table(
        ["ms", "times", "min", "p50", "p99", "max"],
        (["kill", "stop", "drain"] as const).map((how) => [
          ENDINGS[how],
          String(failover.runs[how]),
          ...row(failover.by[how]),
        ]),
      ),
    ]),
    ...section("Encryption, users, rights", [
      "The same on servers that differ in who may do what: nobody is asked; TLS (P-256, as the client and the server agree); one user by nkey; a node in an account of its own, with the rights that follow from its agent and streams of its own. Events published in bulk, and steps of an agent with state; default sync.",
      "",
      ...rates(security),
    ]),
    ...(["default", "always"] as const).flatMap((sync) =>
      section(`Copies, ${syncName(sync)}`, [
        "One server, and a cluster of three that keeps all in three copies. All of them are on this machine: they share its cores and its one disk, so that a cluster on machines of its own does better.",
        "",
        ...rates(replicas[sync]),
      ]),
    ),
  ]
}

const ENDINGS: Readonly<Record<Ending, string>> = {
  kill: "after SIGKILL",
  stop: "after a stop",
  drain: "after a drain",
}

const ABOUT: Readonly<Record<Work, string>> = {
  stateless: "answers",
  stateful: "commits and answers",
  waiting: `waits ${WAIT_MS} ms and answers, ${WAIT_CONCURRENCY} events at a time in a node`,
}

function scaleOut({ events, bare, rates: found }: ScaleOut, cores: number): string[] {
  const rows = WORKS.map((work) => {
    const one = found[work][1] ?? Number.NaN
    const cells = NODE_COUNTS.map((count) => {
      const rate = found[work][count] ?? Number.NaN
      return `${round(rate, 0)} (${round(rate / one)})`
    })
    return [`${work}: ${ABOUT[work]}`, ...cells, round(one / bare)]
  })
  return section("More nodes", [
    `Events a second of an agent with ${PARTITIONS} partitions on so many node processes, and in brackets times that of one. ${WORKS.map((work) => `${events[work]} events ${work}`).join(", ")}. The bare client (a) did ${round(bare, 0)} events/s in one process. All nodes, the server and the publisher share ${cores} cores: what computes cannot gain here by more processes than are free; what waits can.`,
    "",
    ...table(["", ...NODE_COUNTS.map((count) => `${count} node${count === 1 ? "" : "s"}`), "one node / bare"], rows),
  ])
}

function row({ min, p50, p99, max }: Distribution): string[] {
  return [min, p50, p99, max].map((ms) => round(ms, 0))
}

function rates(found: Readonly<Record<string, SettingRates>>): string[] {
  return table(
    ["", "publishes/s", "steps/s", "publishes, times the first", "steps, times the first"],
    Object.entries(found).map(([name, { publishesPerSecond, stepsPerSecond, publishRatio, stepRatio }]) => [
      name,
      cell(publishesPerSecond, 0),
      cell(stepsPerSecond, 0),
      cell(publishRatio, 2),
      cell(stepRatio, 2),
    ]),
  )
}
