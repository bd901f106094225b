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

/** One result, of the same content as a murmur agent's: a CloudEvent in structured mode. */
export interface Answer {
  readonly subject: string
  readonly id: string
  readonly payload: string
  /** The payload as it was before it became text. */
  readonly event: object
  readonly data: ConfirmationData
  /** The order's id and key. */
  readonly cause: string
  readonly customer: string
}

/** Reads an order and answers it. */
export function answer(task: LoopTask, bytes: Uint8Array): Answer {
  const order = JSON.parse(decoder.decode(bytes)) as { id: string; correlationid: string; data: OrderData }
  const data = confirm(order.data)
  const { customer } = data
  const id = `${order.id}-${task.name}`
  const event = {
    specversion: "1.0",
    id,
    source: `/murmur/${task.mesh}/${task.name}`,
    type: "bench.confirmation",
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    data,
    correlationid: order.correlationid,
    hops: 1,
    trust: "internal",
    subject: customer,
    causationid: order.id,
  }
  const subject = `${task.mesh}.ev.${task.name}.${customer}.bench.confirmation`
  return { subject, id, payload: JSON.stringify(event), event, data, cause: order.id, customer }
}
