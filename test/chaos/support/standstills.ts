import type { Bus } from "../../../src/bus/bus.js"
import { readAll } from "../../support/checker.js"

/** For how long a partition of an agent committed nothing. */
export interface Standstill {
  /** As `agent`, or `agent=partition`. */
  readonly partition: string
  readonly ms: number
}

/** The partitions of the bank's agents by how long they stood still at most between two moments, the longest first. */
export async function standstills(bus: Bus, from: number, to: number): Promise<Standstill[]> {
  const { names } = bus
  const partitionOf = new Map<string, string>()
  for (const { subject } of await readAll(bus, names.events, names.storedFilter("bank.paid"))) {
    const [, , p8 = "", , , key = ""] = subject.split(".")
    partitionOf.set(key, p8)
  }
  const commits = new Map<string, number[]>()
  for (const { subject, time } of await readAll(bus, names.sessionsOf("any"), `${names.mesh}.ses.>`)) {
    const [, , agent = "", key = ""] = subject.split(".")
    const partition = agent === "auditor" ? `${agent}=${partitionOf.get(key)}` : agent
    const times = commits.get(partition) ?? []
    commits.set(partition, times)
    times.push(time.getTime())
  }
  return [...commits]
    .map(([partition, times]) => ({ partition, ms: longestGap(times, from, to) }))
    .sort((a, b) => b.ms - a.ms)
}

/** Between commits, and between them and both ends. */
function longestGap(times: readonly number[], from: number, to: number): number {
  const inside = times.filter((time) => time > from && time < to).sort((a, b) => a - b)
  const moments = [from, ...inside, to]
  return Math.max(...moments.slice(1).map((moment, n) => moment - (moments[n] ?? moment)))
}
