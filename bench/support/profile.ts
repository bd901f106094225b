import { readFileSync } from "node:fs"

/** Where a process spent its time. */
export interface HotSpot {
  readonly name: string
  /** File and line, shortened. */
  readonly at: string
  /** Share of the time that the process was busy, in per cent. */
  readonly percent: number
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** The functions with the most self time of a V8 profile (`--cpu-prof`). */
export function hotSpots(file: string, count: number): HotSpot[] {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8")) as CpuProfile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const selfUs = new Map<string, number>()
  let busyUs = 0
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id)
    if (frame === undefined || frame.functionName === "(idle)") continue
    const us = timeDeltas[index] ?? 0
    const place = `${frame.functionName || "(anonymous)"}|${shorten(frame.url)}:${frame.lineNumber + 1}`
    selfUs.set(place, (selfUs.get(place) ?? 0) + us)
    busyUs += us
  }
  return [...selfUs]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([place, us]) => {
      const [name = "", at = ""] = place.split("|")
      return { name, at: at.startsWith(":") ? "(V8)" : at, percent: Math.round((us * 1_000) / busyUs) / 10 }
    })
}

function shorten(url: string): string {
  return url
    .replace(/^.*\/node_modules\//, "")
    .replace(/^.*\/bench\/dist\//, "")
    .replace(/^file:\/\/.*\//, "")
}
