import type { ConsumerConfig, ConsumerInfo } from "@nats-io/jetstream"
import { MurmurError } from "../errors.js"
import type { Link } from "./link.js"
import { apiCode } from "./streams.js"

/** One priority group a consumer: the server pins it to one node at a time. */
export const GROUP = "node"
/** Ownership moves this long after the last pull of its owner. Never under twice the pull's expiry. */
const PRIORITY_TIMEOUT_MS = 3_000
const RESET_TIMEOUT_MS = 5_000
const NANOS = 1_000_000
const CONSUMER_NOT_FOUND = 10014
const CONSUMER_EXISTS = [10148, 10013, 10105]

/** What a durable consumer of the mesh is to be. */
export interface DurableOptions {
  readonly stream: string
  readonly name: string
  /** Subject filters, at least one: an empty list would mean everything. Disjoint, or the server refuses them. */
  readonly filters: readonly string[]
  /** Where it starts when it is new. Default `now`. */
  readonly from?: "now" | "start" | Date | number
  /** How many messages may be unacked: the bound on a node's work. */
  readonly ackPendingMax: number
  readonly ackWaitMs: number
  /** One node at a time (default), or any. */
  readonly pinned?: boolean
}

/**
 * Creates a durable consumer, or brings its filter and bounds up to date in place (nothing is missed for what it kept
 * and what was added; what is new counts from now on).
 *
 * @throws MurmurError `CONSUMER_SETUP`
 */
export async function ensureDurable(link: Link, options: DurableOptions): Promise<"created" | "updated" | "unchanged"> {
  if (options.filters.length === 0) {
    throw new MurmurError(`Cannot set up consumer "${options.name}": it has no filter, which would mean everything`, {
      code: "CONSUMER_SETUP",
    })
  }
  try {
    const found = await durableInfo(link, options.stream, options.name)
    if (found === undefined) {
      await link.manager.consumers.add(options.stream, fresh(options))
      return "created"
    }
    if (upToDate(found.config, options)) return "unchanged"
    await link.manager.consumers.update(options.stream, options.name, changeable(options))
    return "updated"
  } catch (cause) {
    if (CONSUMER_EXISTS.includes(apiCode(cause))) return ensureDurable(link, options) // somebody else was first
    if (cause instanceof MurmurError) throw cause
    throw new MurmurError(
      `Cannot set up consumer "${options.name}" on ${options.stream}: ${(cause as Error).message}`,
      {
        code: "CONSUMER_SETUP",
        cause,
      },
    )
  }
}

/** The consumer's state, or `undefined` when there is none. */
export async function durableInfo(link: Link, stream: string, name: string): Promise<ConsumerInfo | undefined> {
  try {
    return await link.manager.consumers.info(stream, name)
  } catch (error) {
    if (apiCode(error) === CONSUMER_NOT_FOUND) return undefined
    throw error
  }
}

/**
 * Takes a consumer's delivery back to its ack floor: what was delivered and not acked is delivered again, at once and in
 * stream order, with delivery numbers from 1.
 *
 * @returns the stream sequence of the floor: all that the consumer wants up to there is acked
 * @throws MurmurError `CONSUMER_RESET` when the server refuses it
 */
export async function resetDurable(link: Link, stream: string, name: string): Promise<number> {
  const prefix = link.manager.getOptions().apiPrefix ?? "$JS.API"
  const subject = `${prefix}.CONSUMER.RESET.${stream}.${name}`
  const reply = await link.connection.request(subject, "", { timeout: RESET_TIMEOUT_MS })
  const body = reply.json<{ error?: { description: string }; ack_floor?: { stream_seq: number } }>()
  if (body.error === undefined && body.ack_floor !== undefined) return body.ack_floor.stream_seq
  throw new MurmurError(`Cannot reset consumer "${name}": ${body.error?.description ?? "unexpected reply"}`, {
    code: "CONSUMER_RESET",
  })
}

/** Removes a consumer; fine when it is not there. */
export async function removeDurable(link: Link, stream: string, name: string): Promise<void> {
  try {
    await link.manager.consumers.delete(stream, name)
  } catch (error) {
    if (apiCode(error) !== CONSUMER_NOT_FOUND) throw error
  }
}

function fresh(options: DurableOptions): Partial<ConsumerConfig> {
  return {
    ...changeable(options),
    durable_name: options.name,
    ack_policy: "explicit",
    max_deliver: -1,
    max_waiting: 512,
    ...startOf(options.from ?? "now"),
    ...(options.pinned !== false && {
      priority_groups: [GROUP],
      priority_policy: "pinned_client",
      priority_timeout: PRIORITY_TIMEOUT_MS * NANOS,
    }),
  }
}

function startOf(from: "now" | "start" | Date | number): Partial<ConsumerConfig> {
  if (from === "now") return { deliver_policy: "new" }
  if (from === "start") return { deliver_policy: "all" }
  if (typeof from === "number") return { deliver_policy: "by_start_sequence", opt_start_seq: from }
  return { deliver_policy: "by_start_time", opt_start_time: from.toISOString() }
}

/** The part of a configuration that may change later. The other form of filter is named, or the server keeps both (10136). */
function changeable(options: DurableOptions): Partial<ConsumerConfig> {
  const [first, ...more] = options.filters
  const filter = more.length === 0 ? { filter_subject: first } : { filter_subjects: [...options.filters] }
  return {
    filter_subject: undefined,
    filter_subjects: undefined,
    ...filter,
    ack_wait: options.ackWaitMs * NANOS,
    max_ack_pending: options.ackPendingMax,
  } as unknown as Partial<ConsumerConfig>
}

function upToDate(found: ConsumerConfig, options: DurableOptions): boolean {
  const filters = found.filter_subjects ?? [found.filter_subject ?? ""]
  return (
    [...filters].sort().join(" ") === [...options.filters].sort().join(" ") &&
    found.ack_wait === options.ackWaitMs * NANOS &&
    found.max_ack_pending === options.ackPendingMax
  )
}
