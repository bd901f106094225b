import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { createInbox, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node"
import { type Log, silentLog } from "../telemetry/ports.js"
import { throughElection } from "./ask.js"
import { Bucket, type BucketOptions } from "./bucket.js"
import { type ConnectionOptions, connectNats } from "./connection.js"
import { ConnectionState } from "./connection-state.js"
import type { EventDraft } from "./event.js"
import type { Link } from "./link.js"
import { type BulkOptions, type PublishAck, Publisher, type PublishOptions } from "./publisher.js"
import { Rights } from "./rights.js"
import { replicasOfMesh, streamInfo } from "./streams.js"
import { MeshNames, type StreamLayout } from "./subjects.js"
import { within } from "./within.js"

const FLUSH_MS_MAX = 2_000

/** Which mesh, on which servers. */
export interface BusOptions extends ConnectionOptions {
  /** Default `murmur`. */
  readonly mesh?: string
  /** Default: as the mesh was deployed; `mesh` for a new one. */
  readonly layout?: StreamLayout | undefined
  readonly log?: Log
}

/**
 * The part of the bus that a short-lived command needs: publish, buckets, the connection. It loads neither zod nor
 * RxJS, which is most of what a cold start would cost; `Bus` adds reading.
 */
export class BusCore {
  readonly names: MeshNames
  readonly link: Link
  readonly publisher: Publisher
  protected readonly log: Log
  readonly #buckets = new Map<string, Promise<Bucket>>()
  #onDenied: (denial: Denial) => void = () => {}

  /** Use `openBusCore` or `openBus`. */
  constructor(link: Link, options: BusOptions) {
    this.names = namesOf(options)
    this.link = link
    this.log = options.log ?? silentLog
    this.publisher = new Publisher(link.connection, createInbox(link.inboxPrefix), this.names)
    void this.#watch(link.connection)
  }

  /** Whether the connection stands at this moment. */
  get connected(): boolean {
    return this.link.state.connected
  }

  /** Fulfilled when the connection is over for good: it was closed here, or no server lets this user in any more. */
  get closed(): Promise<Error | undefined> {
    return this.link.connection.closed().then((error) => error ?? undefined)
  }

  /** Version of the server that this connection is on. */
  get serverVersion(): string {
    return this.link.connection.info?.version ?? ""
  }

  /**
   * Publishes one event and resolves when JetStream has stored it.
   *
   * @throws MurmurError `EVENT_TYPE`, `NAME_INVALID`, `EVENT_TOO_LARGE`, `STREAM_FULL`, `PUBLISH_DENIED`,
   *   `BUS_UNAVAILABLE` (with a timeout; the event may be stored, its id makes a repeat safe)
   * @example
   * const { id, seq } = await bus.publish({ type: "note.added", data: { text: "hi" }, key: "inbox" }, { producer: "cli" })
   */
  publish(draft: EventDraft, options: PublishOptions): Promise<PublishAck> {
    return this.publisher.publish(draft, options)
  }

  /** Publishes many events, pipelined; yields their acks in order. Reads the input no faster than the server acks. */
  publishMany(
    drafts: Iterable<EventDraft> | AsyncIterable<EventDraft>,
    options: BulkOptions,
  ): AsyncGenerator<PublishAck> {
    return this.publisher.publishMany(drafts, options)
  }

  /** A bucket of this mesh: `routes`, `presence`, ... Created when it is not there, in as many copies as the mesh's events. */
  bucket(name: string, options: BucketOptions = {}): Promise<Bucket> {
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      bucket = this.#openBucket(this.bucketName(name), options)
      this.#buckets.set(name, bucket)
      bucket.catch(() => this.#buckets.delete(name))
    }
    return bucket
  }

  /** A bucket of this mesh that is there already. */
  findBucket(name: string): Promise<Bucket | undefined> {
    return Bucket.find(this.link, this.bucketName(name))
  }

  /** What a bucket of this mesh is called on its servers. */
  bucketName(name: string): string {
    return `${this.names.mesh}_${name}`
  }

  async #openBucket(name: string, options: BucketOptions): Promise<Bucket> {
    if (this.link.rights.restricted) return Bucket.open(this.link, name, options)
    const replicas = options.replicas ?? (await replicasOfMesh(this.link, this.names))
    return Bucket.open(this.link, name, { ...options, replicas })
  }

  /** Tells of what the server does not let this client do, from now on; one listener. It may not throw. */
  onDenied(listener: (denial: Denial) => void): void {
    this.#onDenied = listener
  }

  /**
   * Closes the connection. Publishes that still wait fail with `BUS_CLOSED`; what was sent is flushed first, unless the
   * server does not answer.
   */
  async close(): Promise<void> {
    if (this.connected) await within(FLUSH_MS_MAX, this.link.connection.flush())
    this.publisher.close()
    await this.link.connection.close()
  }

  #deny(error: PermissionViolationError): void {
    const { operation, subject } = error
    this.log.error({ error }, "the server denied an operation")
    const cause = operation === "publish" ? this.publisher.deny(subject, error) : undefined
    this.#onDenied({ operation, subject, cause })
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") {
        this.publisher.suspend()
        this.log.warn({ server: status.server }, "lost the connection to NATS; publishes wait")
      } else if (status.type === "reconnect") {
        this.log.info({ server: status.server }, "connected to NATS again")
        this.publisher.resendAll()
      } else if (status.type === "error" && status.error instanceof PermissionViolationError) {
        this.#deny(status.error)
      }
    }
  }
}

/** Something that the server did not let this client do. */
export interface Denial {
  readonly operation: "publish" | "subscription"
  readonly subject: string
  /** Id of the event because of which it was tried, when that is known. */
  readonly cause: string | undefined
}

/** @throws MurmurError `NAME_INVALID` */
function namesOf(options: BusOptions): MeshNames {
  return new MeshNames(options.mesh ?? "murmur", options.layout)
}

/** Options with the layout that the mesh has, unless one is given. */
export async function withLayout(link: Link, options: BusOptions): Promise<BusOptions> {
  return options.layout === undefined ? { ...options, layout: await findLayout(link, namesOf(options)) } : options
}

/** A mesh whose events have a stream, and whose session logs have none in common, has one for each agent. */
async function findLayout(link: Link, names: MeshNames): Promise<StreamLayout> {
  if (link.rights.restricted) return "agent"
  const [events, common] = await Promise.all([isThere(link, names.events), isThere(link, names.sessionsOf("any"))])
  return events === true && common === false ? "agent" : "mesh"
}

/** A stream that elects its leader is not one that is missing. @returns `undefined` when nobody could say */
async function isThere({ manager }: Link, stream: string): Promise<boolean | undefined> {
  try {
    return (await throughElection(() => streamInfo(manager, stream), { harmlessTwice: true })) !== undefined
  } catch {
    return undefined
  }
}

/** Connects. @throws MurmurError `NAME_INVALID` for the mesh's name, and as {@link connectNats} */
export async function openLink(options: BusOptions): Promise<Link> {
  namesOf(options) // before there is a connection that somebody would have to close
  const { connection, inboxPrefix } = await connectNats(options)
  const rights = await Rights.of(connection)
  const { apiPrefix } = rights
  const api = { checkAPI: false, apiPrefix } // whether there is JetStream, the server itself has told
  const manager = await jetstreamManager(connection, api)
  const client = jetstream(connection, api)
  return { connection, manager, client, state: new ConnectionState(connection), inboxPrefix, rights }
}

/** Connects for a short-lived command. */
export async function openBusCore(options: BusOptions): Promise<BusCore> {
  const link = await openLink(options)
  return new BusCore(link, await withLayout(link, options))
}
