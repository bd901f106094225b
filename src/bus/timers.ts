import { z } from "zod"
import type { Log } from "../telemetry/ports.js"
import type { DurableOptions } from "./consumers.js"
import { consumeDue, dueDurable } from "./due-consumer.js"
import type { Link } from "./link.js"
import type { Publisher } from "./publisher.js"
import { checkName, encodeKey, type MeshNames } from "./subjects.js"

/** A suspended step that is to go on at a time. */
const DueStep = z.object({
  /** Id of the event whose step it is. */
  step: z.string(),
  /** At which of its calls it stands. */
  position: z.int(),
  /** Key of its session. */
  key: z.string().optional(),
})
export type DueStep = z.infer<typeof DueStep> & {
  /** The same for each delivery of this firing. */
  readonly id: string
}

/** What fired while no node was up is kept this long. */
const DUE_TTL = "720h"
const CONCURRENCY = 32

/** Timers of suspended steps: the server keeps the time, and what is due is handed to any one node. */
export class Timers {
  constructor(
    private readonly link: Link,
    private readonly publisher: Publisher,
    private readonly names: MeshNames,
    private readonly log: Log,
  ) {}

  /** Sets a timer; set again, the last time counts. A time that has passed fires at once. */
  async set(agent: string, { step, position, key }: Omit<DueStep, "id">, at: Date): Promise<void> {
    const { mesh } = this.names
    const subject = this.#subject(agent, { step, position })
    const payload = Buffer.from(JSON.stringify({ step, position, key }))
    await this.publisher.append(subject, payload, undefined, {
      "Nats-Schedule": `@at ${at.toISOString()}`,
      "Nats-Schedule-Target": `${mesh}.wake.${agent}.${encodeKey(key)}`,
      "Nats-Schedule-TTL": DUE_TTL,
    })
  }

  /**
   * Takes a timer back. Without effect when it has fired, or was never set; nor without the right to purge timers, which
   * cannot be confined to one's own: then it fires in vain.
   */
  async clear(agent: string, timer: Pick<DueStep, "step" | "position">): Promise<void> {
    if (!this.link.rights.mayPurge(this.names.timers)) return
    await this.link.manager.streams.purge(this.names.timers, { filter: this.#subject(agent, timer) })
  }

  #subject(agent: string, { step, position }: Pick<DueStep, "step" | "position">): string {
    return `${this.names.mesh}.timer.${checkName(agent, "agent")}.${encodeKey(step)}.${position}`
  }

  /**
   * Hands each due timer of an agent to `onDue`, on one node of the mesh, until aborted. It is done when `onDue` resolves.
   *
   * @throws MurmurError `CONSUMER_SETUP`, `NAME_INVALID`
   */
  async consume(agent: string, onDue: (due: DueStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const options = { ...wakeOf(this.names, agent), concurrency: CONCURRENCY, log: this.log }
    await consumeDue(
      this.link,
      options,
      async ({ data, seq, subject }) => {
        const due = parse(data)
        if (due === undefined) this.log.warn({ subject, seq }, "a due timer is none of ours")
        else await onDue({ ...due, id: `${this.names.timers}:${seq}` })
      },
      signal,
    )
  }
}

/** The durable of an agent's timers that are due. */
export function wakeDurable(names: MeshNames, agent: string): DurableOptions {
  return dueDurable(wakeOf(names, agent))
}

function wakeOf(names: MeshNames, agent: string): { stream: string; durable: string; filter: string } {
  const durable = `wake=${checkName(agent, "agent")}`
  return { stream: names.timers, durable, filter: `${names.mesh}.wake.${agent}.>` }
}

function parse(data: Uint8Array): Omit<DueStep, "id"> | undefined {
  try {
    return DueStep.safeParse(JSON.parse(Buffer.from(data).toString())).data
  } catch {
    return undefined
  }
}
