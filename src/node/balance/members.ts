import type { Clock } from "../../agents/clock.js"
import type { Bucket } from "../../bus/bucket.js"
import type { Log } from "../../telemetry/ports.js"
import { followBucket } from "../bucket-follow.js"
import { PRESENCE_TTL_MS, PresenceRecord } from "../buckets.js"

interface Member {
  readonly record: PresenceRecord
  /** When its newest sign of life came, by this node's clock. */
  readonly seenMs: number
}

/** The nodes of the mesh, as one of them sees the others: by their signs of life, none from those that have left. */
export class Members {
  readonly #members = new Map<string, Member>()

  constructor(private readonly clock: Pick<Clock, "steady">) {}

  /** Follows the signs of life until aborted. @returns when those are known that are there */
  follow(presence: Bucket, options: { readonly signal: AbortSignal; readonly log: Log }): Promise<void> {
    return followBucket(presence, ({ key, value }) => this.note(key, value), options)
  }

  /** Ids of the nodes that host an agent with so many partitions and mean to stay, without `except`. */
  hosting(agent: string, partitions: number, except: string): string[] {
    return this.#alive()
      .filter(({ id, draining, agents }) => {
        const stays = id !== except && !draining
        return stays && agents.some((each) => each.name === agent && each.partitions === partitions)
      })
      .map(({ id }) => id)
  }

  /** Whether a node says that it owns a partition. */
  owns(node: string, agent: string, partition: number): boolean {
    const agents = this.#alive().find(({ id }) => id === node)?.agents ?? []
    return agents.some(({ name, owned }) => name === agent && owned.includes(partition))
  }

  /** Whether a node gave a sign of life after a time of this node's steady clock. */
  seenAfter(node: string, timeMs: number): boolean {
    return (this.#members.get(node)?.seenMs ?? Number.NEGATIVE_INFINITY) > timeMs
  }

  /** @param value its sign of life; anything else when it is gone */
  note(node: string, value: unknown): void {
    const record = PresenceRecord.safeParse(value)
    if (record.success) this.#members.set(node, { record: record.data, seenMs: this.clock.steady() })
    else this.#members.delete(node)
  }

  /** What expires is not told. */
  #alive(): PresenceRecord[] {
    const oldest = this.clock.steady() - PRESENCE_TTL_MS
    for (const [id, { seenMs }] of this.#members) if (seenMs < oldest) this.#members.delete(id)
    return [...this.#members.values()].map(({ record }) => record)
  }
}
