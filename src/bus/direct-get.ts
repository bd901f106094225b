import {
  createInbox,
  type Msg,
  NoRespondersError,
  RequestError,
  type Subscription,
  TimeoutError,
} from "@nats-io/transport-node"
import type { StoredMessage } from "./decode.js"
import type { Link } from "./link.js"
import { header } from "./stream-message.js"

/** What is asked of a stream directly, without a consumer. */
export interface DirectQuery {
  readonly stream: string
  readonly filter: string
  /** The first message at or after it is the first of the batch. */
  readonly from: { readonly seq: number } | { readonly time: Date }
  readonly countMax: number
}

/** The last message of each of some subjects; the server takes up to 1,024. */
export interface LastQuery {
  readonly stream: string
  readonly lastOf: readonly string[]
}

/** A message that a direct get brought, and how many that fit come after it. */
export interface DirectMessage extends StoredMessage {
  readonly pending: number
}

/** Between two messages of a batch, and before the first. */
const SILENCE_MS_MAX = 5_000
const NOTHING = 404
const END = 204
const NO_RESPONDERS = 503

/**
 * Asks a stream for a batch of messages in order. It takes no consumer, so it needs no right to make one: with such a right
 * a client can make the server publish anywhere. The batch is what one of the stream's servers holds; on a cluster that may
 * be one which is a moment behind, so whoever must see all asks the leader how far there is to read.
 *
 * @returns an empty batch when nothing fits
 * @throws PermissionViolationError, TimeoutError (what came until then is lost), NoRespondersError when there is no such stream
 */
export function directBatch(link: Link, query: DirectQuery | LastQuery): Promise<DirectMessage[]> {
  const { connection, manager } = link
  const { apiPrefix = "$JS.API" } = manager.getOptions()
  const subject = `${apiPrefix}.DIRECT.GET.${query.stream}`
  const inbox = createInbox(link.inboxPrefix)
  const batch: DirectMessage[] = []
  return new Promise((resolve, reject) => {
    const settle = (settled: () => void): void => {
      clearTimeout(timer)
      subscription.unsubscribe()
      settled()
    }
    // first: on a closed connection it throws, and a timer would outlive it
    const subscription: Subscription & { requestSubject?: string } = connection.subscribe(inbox, {
      callback: (error, message) => {
        const code = message.headers?.code ?? 0
        if (error !== null) settle(() => reject(error))
        else if (code === END || code === NOTHING) settle(() => resolve(batch))
        else if (code === NO_RESPONDERS) settle(() => reject(new NoRespondersError(subject)))
        else if (code > 0) settle(() => reject(new RequestError(message.headers?.description ?? `status ${code}`)))
        else {
          timer.refresh()
          batch.push(new DirectMsg(message))
        }
      },
    })
    const timer = setTimeout(() => settle(() => reject(new TimeoutError())), SILENCE_MS_MAX)
    subscription.requestSubject = subject // so that the client hands a denied request to this callback
    connection.publish(subject, JSON.stringify(body(query)), { reply: inbox })
  })
}

function body(query: DirectQuery | LastQuery): object {
  if ("lastOf" in query) return { multi_last: query.lastOf }
  const { filter, from, countMax } = query
  const start = "time" in from ? { start_time: from.time.toISOString() } : { seq: Math.max(1, from.seq) }
  return { next_by_subj: filter, batch: countMax, ...start }
}

/** A message with what the server says of it in its headers. */
class DirectMsg implements DirectMessage {
  constructor(private readonly message: Msg) {}

  get subject(): string {
    return this.header("Nats-Subject") ?? ""
  }

  get data(): Uint8Array {
    return this.message.data
  }

  get seq(): number {
    return Number(this.header("Nats-Sequence"))
  }

  get time(): Date {
    return new Date(this.header("Nats-Time-Stamp") ?? 0)
  }

  get pending(): number {
    return Number(this.header("Nats-Num-Pending") ?? 0)
  }

  header(name: string): string | undefined {
    return header(this.message.headers, name)
  }

  headerNames(): Iterable<string> {
    return this.message.headers?.keys() ?? []
  }
}
