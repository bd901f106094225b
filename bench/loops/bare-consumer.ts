import type { ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream"
import type { ConfirmationData, OrderData } from "../support/job.js"
import { confirm } from "../support/job.js"
import { ACK_PENDING_MAX, type LoopTask, PULL_BATCH } from "./loop.js"

/** The consuming half of both bare loops: a durable, a callback, at most `inflight` events in work. */
export async function consumeOrders(
  task: LoopTask,
  manager: JetStreamManager,
  client: JetStreamClient,
  work: (message: JsMsg) => Promise<unknown>,
): Promise<ConsumerMessages> {
  const stream = `${task.mesh}_EVENTS`
  await manager.consumers.add(stream, {
    durable_name: task.name,
    ack_policy: "explicit",
    deliver_policy: "all",
    filter_subject: `${task.mesh}.ev.*.*.*.*.bench.order`,
    max_ack_pending: ACK_PENDING_MAX,
  })
  const consumer = await client.consumers.get(stream, task.name)
  const waiting: JsMsg[] = []
  let head = 0
  let running = 0
  const run = (message: JsMsg): void => {
    running += 1
    work(message).then(finished, (error) => {
      throw error
    })
  }
  const finished = (): void => {
    running -= 1
    const next = waiting[head]
    if (next === undefined) return
    head += 1
    if (head === 1_024) {
      waiting.splice(0, head)
      head = 0
    }
    run(next)
  }
  return consumer.consume({
    max_messages: PULL_BATCH,
    callback: (message) => {
      if (running < task.inflight) run(message)
      else waiting.push(message)
    },
  })
}

const decoder = new TextDecoder()

/** One result as bytes, of the same content as a murmur agent's: a CloudEvent in structured mode. */
export function answer(task: LoopTask, data: Uint8Array): { subject: string; id: string; payload: string } {
  const order = JSON.parse(decoder.decode(data)) as { id: string; correlationid: string; data: OrderData }
  const confirmation: ConfirmationData = confirm(order.data)
  const id = `${order.id}-${task.name}`
  const payload = JSON.stringify({
    specversion: "1.0",
    id,
    source: `/murmur/${task.mesh}/${task.name}`,
    type: "bench.confirmation",
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    data: confirmation,
    correlationid: order.correlationid,
    hops: 1,
    trust: "internal",
    subject: confirmation.customer,
    causationid: order.id,
  })
  return { subject: `${task.mesh}.ev.${task.name}.${confirmation.customer}.bench.confirmation`, id, payload }
}
