import type { LanePort } from "../../../src/agents/ports.js"
import type { Delivery } from "../../../src/bus/partition.js"
import type { RigClient } from "./rig.js"

/** A node's side of a consumer: notes what it is told. */
export interface Seen {
  readonly lane: LanePort & { restart(): void }
  /** Of what was delivered, in that order. */
  readonly numbers: number[]
  readonly held: Delivery[]
  readonly calls: string[]
  /** What it was told while it owned nothing: whether another one does. */
  readonly passive: boolean[]
  ack(...numbers: number[]): void
}

/** Pulls, and acks only what it is told to, unless `ack` says otherwise. */
export function pull(
  client: RigClient,
  more: { ack?: boolean; onOwned?: (floor: number, ended: AbortSignal) => Promise<void> } = {},
): Seen {
  const seen = { numbers: [] as number[], held: [] as Delivery[], calls: [] as string[], passive: [] as boolean[] }
  const numberOf = (delivery: Delivery): number => JSON.parse(Buffer.from(delivery.data).toString()).data
  const lane = client.lane({
    onOwned: (floor, ended) => {
      seen.calls.push(`owned ${floor}`)
      return more.onOwned?.(floor, ended)
    },
    onLost: () => void seen.calls.push("lost"),
    onPassive: (elsewhere) => {
      seen.passive.push(elsewhere)
    },
    onDelivery: (delivery) => {
      seen.numbers.push(numberOf(delivery))
      seen.held.push(delivery)
      if (more.ack === true) delivery.ack()
    },
  })
  lane.start()
  const ack = (...numbers: number[]): void => {
    for (const n of numbers) seen.held.findLast((delivery) => numberOf(delivery) === n)?.ack()
  }
  return { ...seen, lane, ack }
}

/** The numbers from one to another. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)

/** Publishes the events of these numbers, one after the other. */
export async function give(client: RigClient, numbers: readonly number[]): Promise<void> {
  for (const n of numbers) await client.publish(n)
}
