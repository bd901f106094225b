import type { EventPort } from "../../../src/agents/ports.js"
import type { StoredMessage } from "../../../src/bus/decode.js"
import { encode, type SealedEvent, seal } from "../../../src/bus/encode.js"
import type { EventDraft } from "../../../src/bus/event.js"
import type { PublishOptions } from "../../../src/bus/publisher.js"
import type { Link } from "../model/link.js"
import { insist } from "../model/log.js"
import type { SimRecord } from "../model/stream.js"
import type { SimMesh } from "./mesh.js"

/** The modelled EVENTS stream, over one process's connection. */
export class SimEvents implements EventPort {
  constructor(
    private readonly link: Link,
    private readonly mesh: SimMesh,
  ) {}

  store(event: SealedEvent): Promise<{ seq: number; duplicate: boolean }> {
    const { names, streams, server, world } = this.mesh
    const subject = names.publishSubject(event.producer, event.key, event.type)
    const payload = encode(event)
    return this.link.publish(() => {
      const stored = streams.events.append(subject, payload, { id: event.id })
      const what = stored.duplicate ? "is a repeat of" : "stored as"
      world.note(this.link.process.name, () => `event ${event.id} ${event.type} of ${event.key} ${what} ${stored.seq}`)
      if (!stored.duplicate) server.stored(streams.events)
      return stored
    })
  }

  async publish(draft: EventDraft, options: PublishOptions): Promise<unknown> {
    const id = draft.id ?? `notice ${this.mesh.nextNumber()}`
    return this.store(seal(draft, { ...options, mesh: this.mesh.names.mesh }, id))
  }

  async read(seq: number): Promise<StoredMessage | undefined> {
    const record = await this.link.ask(() => this.mesh.streams.events.at(seq))
    return record && message(record)
  }

  async *ids(producer: string, key: string | undefined, since: Date): AsyncIterable<string> {
    const { names, streams } = this.mesh
    const filter = names.storedFilter(">", { producer, ...(key !== undefined && { key }) })
    const records = await insist(this.link, () => streams.events.under(filter).filter(({ time }) => time >= since))
    for (const { id } of records) if (id !== undefined) yield id
  }
}

function message({ subject, data, seq, time, id }: SimRecord): StoredMessage {
  return {
    ...{ subject, data, seq, time },
    header: (name) => (name.toLowerCase() === "nats-msg-id" ? id : undefined),
    headerNames: () => (id === undefined ? [] : ["Nats-Msg-Id"]),
  }
}
