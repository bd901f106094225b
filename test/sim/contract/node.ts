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

/** A node's side of a shared consumer. */
export interface Shared {
  readonly lane: LanePort
  /** Of what was delivered, and how often it was, in that order. */
  readonly numbers: number[]
  readonly counts: number[]
  readonly held: Delivery[]
  readonly calls: string[]
}

/** Pulls a shared consumer, with room for so many that are not acked. */
export function share(
  client: RigClient,
  places: number,
  more: { ack?: boolean } = {},
): Shared & { ack(n: number): void } {
  const seen = { numbers: [] as number[], counts: [] as number[], held: [] as Delivery[], calls: [] as string[] }
  let busy = 0
  let onMore = (): void => {}
  const done = (settle: () => void): void => {
    busy -= 1
    settle()
    onMore()
  }
  const handler = {
    onOwned: () => {},
    onLost: () => void seen.calls.push("lost"),
    onDelivery: (delivery: Delivery) => {
      busy += 1
      seen.numbers.push(numberOf(delivery))
      seen.counts.push(delivery.deliveryCount ?? 0)
      seen.held.push(delivery)
      if (more.ack === true) done(() => delivery.ack())
    },
  }
  const room = {
    free: () => places - busy,
    onMore: (listener: () => void) => {
      onMore = listener
    },
  }
  const lane = client.sharedLane(handler, room)
  lane.start()
  const ack = (n: number): void => done(() => seen.held.findLast((delivery) => numberOf(delivery) === n)?.ack())
  return { ...seen, lane, ack }
}

const numberOf = (delivery: Delivery): number => JSON.parse(Buffer.from(delivery.data).toString()).data

/** The numbers from one to another. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n)

/** Publishes the events of these numbers, one after the other. */
export async function give(client: RigClient, numbers: readonly number[]): Promise<void> {
  for (const n of numbers) await client.publish(n)
}
