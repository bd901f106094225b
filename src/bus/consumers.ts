import type { ConsumerConfig, ConsumerInfo } from "@nats-io/jetstream"
import { ensureError, MurmurError } from "../errors.js"
import { throughElection } from "./ask.js"
import type { Link } from "./link.js"
import { apiCode, type Difference, STREAM_NOT_FOUND } from "./streams.js"

/** One priority group a consumer: the server pins it to one node at a time. */
export const GROUP = "node"
/** Ownership moves this long after the last pull of its owner. Never under twice the pull's expiry. */
const PRIORITY_TIMEOUT_MS = 3_000
const RESET_TIMEOUT_MS = 5_000
const NANOS = 1_000_000
const CONSUMER_NOT_FOUND = 10014
const CONSUMER_EXISTS = [10148, 10013, 10105]
const RESET_NOT_ALLOWED = 10204
const TRIES_MAX = 5

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
 * Creates a durable consumer, or brings its filter and bounds up to date in place. Nothing is missed for what it kept.
 * What is added to its filter counts from now on, when it has done all that it had to do until then; else from where it
 * stands.
 *
 * Whoever has no right to make consumers is content with one that is there.
 *
 * @throws MurmurError `CONSUMER_SETUP`, `NOT_DEPLOYED`
 */
export async function ensureDurable(link: Link, options: DurableOptions): Promise<"created" | "updated" | "unchanged"> {
  if (options.filters.length === 0) {
    throw new MurmurError(`Cannot set up consumer "${options.name}": it has no filter, which would mean everything`, {
      code: "CONSUMER_SETUP",
    })
  }
  if (link.rights.restricted) return requireDurable(link, options)
  for (let tries = 1; ; tries++) {
    try {
      return await throughElection(() => createOrUpdate(link, options), { harmlessTwice: true })
    } catch (cause) {
      if (CONSUMER_EXISTS.includes(apiCode(cause)) && tries < TRIES_MAX) continue // somebody else was first
      if (cause instanceof MurmurError) throw cause
      throw new MurmurError(
        `Cannot set up consumer "${options.name}" on ${options.stream}: ${ensureError(cause).message}`,
        { code: "CONSUMER_SETUP", cause },
      )
    }
  }
}

/** Whoever may not make consumers works with those that were deployed. */
async function requireDurable(link: Link, { stream, name }: DurableOptions): Promise<"unchanged"> {
  if ((await durableInfo(link, stream, name)) !== undefined) return "unchanged"
  throw notDeployed(`consumer "${name}" on ${stream}`)
}

/** Something that a deployment makes is not there, and this client may not make it. */
export function notDeployed(what: string): MurmurError {
  return new MurmurError(
    `There is no ${what}, and this client's rights do not let it make one: run "murmur deploy" with the deployer's credentials first`,
    { code: "NOT_DEPLOYED", details: { missing: what } },
  )
}

async function createOrUpdate(link: Link, options: DurableOptions): Promise<"created" | "updated" | "unchanged"> {
  const { stream, name } = options
  const last = (await link.manager.streams.info(stream)).state.last_seq
  const found = await durableInfo(link, stream, name)
  if (found === undefined) {
    await link.manager.consumers.add(stream, fresh(options, last))
    return "created"
  }
  if (durableDifferences(found.config, options).length === 0) return "unchanged"
  const known = filtersOf(found.config)
  const idle = (await positionOf(link, found, last)) > last
  // or the past of what is added would come with the next reset, back to the last message that was acked; first, since
  // whoever does this anew after a break sees the new filter and has nothing to do any more
  if (idle && options.filters.some((filter) => !known.includes(filter))) await skipTo(link, stream, name, last + 1)
  await link.manager.consumers.update(stream, name, changeable(options))
  return "updated"
}

/** The state of a consumer. */
export type DurableInfo = ConsumerInfo

/** The durable consumers of a stream, by name; none where there is no such stream. */
export async function listDurables(link: Link, stream: string): Promise<Map<string, DurableInfo>> {
  const durables = new Map<string, DurableInfo>()
  try {
    for await (const info of link.manager.consumers.list(stream)) {
      if (info.config.durable_name !== undefined) durables.set(info.name, info)
    }
  } catch (error) {
    if (apiCode(error) !== STREAM_NOT_FOUND) throw error
  }
  return durables
}

/** The consumer's state, or `undefined` when there is none. */
export async function durableInfo(link: Link, stream: string, name: string): Promise<DurableInfo | undefined> {
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
  const { error, ack_floor: floor } = await requestReset(link, stream, name)
  if (error === undefined && floor !== undefined) return floor.stream_seq
  throw new MurmurError(`Cannot reset consumer "${name}": ${error?.description ?? "unexpected reply"}`, {
    code: "CONSUMER_RESET",
  })
}

/** A consumer that an older version made with the policy `new` cannot be moved; then it stays where it is. */
async function skipTo(link: Link, stream: string, name: string, seq: number): Promise<void> {
  const { error } = await requestReset(link, stream, name, seq)
  if (error !== undefined && error.err_code !== RESET_NOT_ALLOWED) {
    throw new MurmurError(`Cannot set up consumer "${name}": ${error.description}`, { code: "CONSUMER_SETUP" })
  }
}

interface ResetReply {
  readonly error?: { readonly err_code?: number; readonly description: string }
  readonly ack_floor?: { readonly stream_seq: number }
}

async function requestReset(link: Link, stream: string, name: string, seq?: number): Promise<ResetReply> {
  const prefix = link.manager.getOptions().apiPrefix ?? "$JS.API"
  const body = seq === undefined ? "" : JSON.stringify({ seq })
  const subject = `${prefix}.CONSUMER.RESET.${stream}.${name}`
  return (await link.connection.request(subject, body, { timeout: RESET_TIMEOUT_MS })).json<ResetReply>()
}

/** Removes a consumer; fine when it is not there. */
export async function removeDurable(link: Link, stream: string, name: string): Promise<void> {
  try {
    await link.manager.consumers.delete(stream, name)
  } catch (error) {
    if (apiCode(error) !== CONSUMER_NOT_FOUND) throw error
  }
}

function fresh(options: DurableOptions, last: number): Partial<ConsumerConfig> {
  return {
    ...changeable(options),
    durable_name: options.name,
    ack_policy: "explicit",
    max_deliver: -1,
    max_waiting: 512,
    ...startOf(options.from ?? "now", last),
    ...(options.pinned !== false && {
      priority_groups: [GROUP],
      priority_policy: "pinned_client",
      priority_timeout: PRIORITY_TIMEOUT_MS * NANOS,
    }),
  }
}

/** `now` is a sequence too: a consumer with the policy `new` cannot be moved later. */
function startOf(from: "now" | "start" | Date | number, last: number): Partial<ConsumerConfig> {
  if (from === "now") return { deliver_policy: "by_start_sequence", opt_start_seq: last + 1 }
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

/** What a durable that is there has otherwise than wanted, of what may be changed. */
export function durableDifferences(found: ConsumerConfig, options: DurableOptions): Difference[] {
  const compared: Difference[] = [
    { setting: "filters", found: [...filtersOf(found)].sort(), wanted: [...options.filters].sort() },
    { setting: "ack_wait", found: found.ack_wait, wanted: options.ackWaitMs * NANOS },
    { setting: "max_ack_pending", found: found.max_ack_pending, wanted: options.ackPendingMax },
  ]
  return compared.filter(({ found: is, wanted }) => String(is) !== String(wanted))
}

/**
 * Where a durable stands: the stream sequence of the first message that it has still to have acked, or what comes next.
 *
 * @param last of the stream, read before the durable's state was
 */
export async function positionOf(link: Link, info: DurableInfo, last: number): Promise<number> {
  const seq = info.ack_floor.stream_seq + 1
  // The floor of one that was idle for long is old: what matters is the next message that it wants. How many wait it does
  // not say for sure: of 9,105 consumers that were asked right after an ack, 35 did not know of that message yet.
  const next = await Promise.all(
    filtersOf(info.config).map((next_by_subj) => {
      const query = { seq, next_by_subj }
      return link.manager.streams.getMessage(info.stream_name, query) // of the leader: a copy may lag and know of none
    }),
  )
  return Math.min(last + 1, ...next.flatMap((message) => (message === null ? [] : [message.seq])))
}

function filtersOf({ filter_subject: one, filter_subjects: several }: ConsumerConfig): readonly string[] {
  return several ?? [one ?? ""]
}
