import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { answer, consumeOrders } from "./bare-consumer.js"
import type { StartLoop } from "./loop.js"

/** (a) The client as it comes: consume with a callback, `js.publish` the result, ack. */
export const startBare: StartLoop = async (task, onEvent) => {
  const connection = await connect({ servers: task.url })
  const client = jetstream(connection)
  const messages = await consumeOrders(task, await jetstreamManager(connection), client, async (message) => {
    onEvent()
    const { subject, id, payload } = answer(task, message.data)
    await client.publish(subject, payload, { msgID: id })
    message.ack()
  })
  return async () => {
    await messages.close()
    await connection.drain()
  }
}
