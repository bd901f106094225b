import { deliveredSeq, isDeliveryAck, isPublishAck } from "../../test/chaos/support/nats-frames.js"
import type { Judge } from "../../test/chaos/support/nats-proxy.js"

/** The faults that were done to a node, by kind. */
export interface Faults {
  /** Answers to appends and publishes that never arrived: what they answer is stored, and its writer cannot know. */
  lostPublishAcks: number
  /** Acks of finished events that never reached the server. */
  lostDeliveryAcks: number
  /** Deliveries of an event that had been delivered before. */
  redeliveries: number
  /** Events stored again under the same id, past the server's dedup window. */
  storedAgain: number
  /** Connections broken in the middle of it. */
  brokenConnections: number
}

export function noFaults(): Faults {
  return { lostPublishAcks: 0, lostDeliveryAcks: 0, redeliveries: 0, storedAgain: 0, brokenConnections: 0 }
}

export function countFaults(faults: Faults): number {
  return Object.values(faults).reduce((sum, count) => sum + count, 0)
}

/** Swallows a share of all acks, in both directions, and counts what comes again. */
export function ackSwallower(streams: readonly string[], share: number, random: () => number, faults: Faults): Judge {
  const delivered = new Set<number>()
  return (frame) => {
    const seq = deliveredSeq(frame)
    if (seq !== undefined) {
      if (delivered.has(seq)) faults.redeliveries += 1
      delivered.add(seq)
      return "pass"
    }
    const ofPublish = streams.some((stream) => isPublishAck(frame, stream))
    if (!ofPublish && !isDeliveryAck(frame)) return "pass"
    if (random() >= share) return "pass"
    if (ofPublish) faults.lostPublishAcks += 1
    else faults.lostDeliveryAcks += 1
    return "swallow"
  }
}
