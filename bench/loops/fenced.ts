import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { openAcks } from "./acks.js"
import { type Answer, answer, consumeOrders } from "./bare-consumer.js"
import type { LoopTask, StartLoop } from "./loop.js"

/** What is known of one key's log: where it ends, and what is being done for it. */
interface KeyLog {
  seq: number
  busy: Promise<void>
}

/**
 * (e) What a step of a session is on the wire and nothing else: one event of a key at a time, a fenced append of a record
 * as long as a commit of murmur, a publish, an ack. It believes its own memory: it folds nothing, looks for no commit
 * that is there already, and repeats nothing.
 */
export const startFenced: StartLoop = async (task, onEvent) => {
  const connection = await connect({ servers: task.url, noAsyncTraces: true })
  const acks = openAcks(connection)
  const client = jetstream(connection)
  const logs = new Map<string, KeyLog>()
  const commit = async (log: KeyLog, done: Answer, seq: number): Promise<void> => {
    const subject = `${task.mesh}.ses.${task.name}.${done.customer}`
    log.seq = await acks.publish(subject, record(task, done, seq), [FENCE, String(log.seq)])
    await acks.publish(done.subject, done.payload, ["Nats-Msg-Id", done.id])
  }
  const messages = await consumeOrders(task, await jetstreamManager(connection), client, async (message) => {
    onEvent()
    const done = answer(task, message.data)
    const log = logs.get(done.customer) ?? { seq: 0, busy: Promise.resolve() }
    logs.set(done.customer, log)
    log.busy = log.busy.then(() => commit(log, done, message.seq))
    await log.busy
    message.ack()
  })
  return async () => {
    acks.close()
    await messages.close()
    await connection.drain()
  }
}

const FENCE = "Nats-Expected-Last-Subject-Sequence"

/** Of the same content as a commit of murmur. */
function record(task: LoopTask, { cause, event, data }: Answer, seq: number): string {
  const { n, total } = data
  return JSON.stringify({
    kind: "commit",
    cause: { id: cause, type: "bench.order", seq },
    entries: [{ name: "Confirmed", data: { n, total } }],
    changes: [
      [["count"], n],
      [["total"], total],
    ],
    outputs: [event],
    attempt: 1,
    code: task.name,
    stateVersion: 1,
    snapshot: 0,
    at: new Date().toISOString(),
  })
}

/** (g) The calls of a step as murmur journals them, each a fenced append of its own to the step's log; then one result. */
export const startCalls: StartLoop = async (task, onEvent) => {
  const connection = await connect({ servers: task.url, noAsyncTraces: true })
  const acks = openAcks(connection)
  const client = jetstream(connection)
  const messages = await consumeOrders(task, await jetstreamManager(connection), client, async (message) => {
    onEvent()
    const done = answer(task, message.data)
    let seq = 0
    for (let position = 0; position < task.calls; position++) {
      const at = new Date().toISOString()
      const entry = { position, call: `run call ${position}`, hash: task.name, answer: position, at }
      seq = await acks.publish(`${task.mesh}.step.${task.name}.${done.cause}`, JSON.stringify(entry), [
        FENCE,
        String(seq),
      ])
    }
    await acks.publish(done.subject, done.payload, ["Nats-Msg-Id", done.id])
    message.ack()
  })
  return async () => {
    acks.close()
    await messages.close()
    await connection.drain()
  }
}
