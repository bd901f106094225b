import type { CallerResult } from "../children/model-caller.js"
import type { Spread } from "../support/stats.js"
import type { Results } from "./results.js"
import { cell, section, table } from "./text.js"

/** What the way to a model costs. */
export function minds({ minds: found }: Results): string[] {
  if (found === undefined) return []
  const row = (what: string, by: Readonly<Record<keyof CallerResult, Spread>>): string[] => [
    what,
    cell(by.p50Ms, 3),
    cell(by.p99Ms, 3),
    cell(by.callsPerSecond, 0),
    cell(by.cpuUsPerCall),
  ]
  return section("A call of a model", [
    `A local server that answers at once in OpenAI's protocol, asked by its official library and through the broker (one request, no limits, no cache), ${found.by.sdk.p50Ms.runs} rounds in turns. Client and server share the cores.`,
    "",
    ...table(
      ["", "p50 ms, one at a time", "p99 ms", `calls/s, ${found.atATime} at a time`, "CPU us/call"],
      [row("the library alone", found.by.sdk), row("the broker, over the same library", found.by.broker)],
    ),
    "",
    ...table(
      ["broker and library", ""],
      [
        ["p50, more by (ms)", cell(found.p50OverheadMs, 3)],
        [`time a call, ${found.atATime} at a time, times`, cell(found.timeRatio, 2)],
        ["CPU a call, times", cell(found.cpuRatio, 2)],
      ],
    ),
    "",
    `A step whose model asks for eight tools of one second each at once: ${cell(found.eightToolsMs, 0)} ms.`,
  ])
}
