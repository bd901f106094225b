import { createInbox, headers, type NatsConnection } from "@nats-io/transport-node"

interface Waiter {
  readonly since: number
  readonly resolve: (seq: number) => void
  readonly reject: (error: Error) => void
}

const GIVE_UP_MS = 10_000

/** Publishes that are acked over one inbox. */
export interface Acks {
  /** @returns the sequence in the stream */
  publish(subject: string, payload: string, header: readonly [name: string, value: string]): Promise<number>
  close(): void
}

/**
 * One inbox for all acks, a map of who waits, one timer. As little as it can be: it repeats nothing and gives up after
 * ten seconds, so it is an upper bound rather than a rival.
 */
export function openAcks(connection: NatsConnection): Acks {
  const inbox = createInbox()
  const waiters = new Map<string, Waiter>()
  let next = 0
  connection.subscribe(`${inbox}.*`, {
    callback: (_, reply) => {
      const token = reply.subject.slice(inbox.length + 1)
      const waiter = waiters.get(token)
      waiters.delete(token)
      const { error, seq } = JSON.parse(reply.string()) as { error?: { description: string }; seq: number }
      if (error === undefined) waiter?.resolve(seq)
      else waiter?.reject(new Error(error.description))
    },
  })
  const sweep = setInterval(() => {
    const oldest = Date.now() - GIVE_UP_MS
    for (const { since, reject } of waiters.values()) if (since < oldest) reject(new Error("no ack"))
  }, 1_000)
  return {
    publish: (subject, payload, [name, value]) =>
      new Promise((resolve, reject) => {
        const token = String(next++)
        waiters.set(token, { since: Date.now(), resolve, reject })
        const sent = headers()
        sent.set(name, value)
        connection.publish(subject, payload, { reply: `${inbox}.${token}`, headers: sent })
      }),
    close: () => clearInterval(sweep),
  }
}
