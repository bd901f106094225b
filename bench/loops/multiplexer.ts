import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect, createInbox, headers } from "@nats-io/transport-node"
import { answer, consumeOrders } from "./bare-consumer.js"
import type { StartLoop } from "./loop.js"

interface Waiter {
  readonly since: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const GIVE_UP_MS = 10_000

/**
 * (b) The same loop over plain publishes: one inbox for all acks, a map of who waits, one timer. As little as it can be:
 * it repeats nothing and gives up after ten seconds, so it is an upper bound rather than a rival.
 */
export const startMultiplexer: StartLoop = async (task, onEvent) => {
  const connection = await connect({ servers: task.url, noAsyncTraces: true })
  const inbox = createInbox()
  const waiters = new Map<string, Waiter>()
  let next = 0
  connection.subscribe(`${inbox}.*`, {
    callback: (_, reply) => {
      const token = reply.subject.slice(inbox.length + 1)
      const waiter = waiters.get(token)
      waiters.delete(token)
      const { error } = JSON.parse(reply.string()) as { error?: { description: string } }
      if (error === undefined) waiter?.resolve()
      else waiter?.reject(new Error(error.description))
    },
  })
  const sweep = setInterval(() => {
    const oldest = Date.now() - GIVE_UP_MS
    for (const { since, reject } of waiters.values()) if (since < oldest) reject(new Error("no ack"))
  }, 1_000)
  const publish = (subject: string, payload: string, id: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const token = String(next++)
      waiters.set(token, { since: Date.now(), resolve, reject })
      const sent = headers()
      sent.set("Nats-Msg-Id", id)
      connection.publish(subject, payload, { reply: `${inbox}.${token}`, headers: sent })
    })

  const client = jetstream(connection)
  const messages = await consumeOrders(task, await jetstreamManager(connection), client, async (message) => {
    onEvent()
    const { subject, id, payload } = answer(task, message.data)
    await publish(subject, payload, id)
    message.ack()
  })
  return async () => {
    clearInterval(sweep)
    await messages.close()
    await connection.drain()
  }
}
