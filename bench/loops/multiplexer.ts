import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { openAcks } from "./acks.js"
import { answer, consumeOrders } from "./bare-consumer.js"
import type { StartLoop } from "./loop.js"

/** (b) The same loop over plain publishes, with one inbox for all acks. */
export const startMultiplexer: StartLoop = async (task, onEvent) => {
  const connection = await connect({ servers: task.url, noAsyncTraces: true })
  const acks = openAcks(connection)
  const client = jetstream(connection)
  const messages = await consumeOrders(task, await jetstreamManager(connection), client, async (message) => {
    onEvent()
    const { subject, id, payload } = answer(task, message.data)
    await acks.publish(subject, payload, ["Nats-Msg-Id", id])
    message.ack()
  })
  return async () => {
    acks.close()
    await messages.close()
    await connection.drain()
  }
}
