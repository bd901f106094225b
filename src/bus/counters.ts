import { ensureError, MurmurError } from "../errors.js"
import type { Link } from "./link.js"
import type { Publisher } from "./publisher.js"
import { encodeKey, type MeshNames } from "./subjects.js"

/** One counter: an amount of a kind, used by all that descends from one root event. */
export interface CounterName {
  /** Id of the root event. */
  readonly root: string
  /** What is counted: `events`, `steps`, ... Letters, digits and `-`. */
  readonly kind: string
}

/** Totals that the whole mesh adds to. A port, so that what stands on it runs without a server as well. */
export interface CounterPort {
  /**
   * Adds an amount and returns the total after it, also of what others have added meanwhile. Resolves when it is stored:
   * it waits as long as the server is away.
   *
   * @param amount an integer >= 1
   * @param id the same id adds once inside the dedup window of two minutes; later, or when the server was started anew
   *   in between, it adds again: a total may be too high then, and is never too low
   * @throws MurmurError `BUS_CLOSED`, `PUBLISH_DENIED`, `COUNTER_READ`
   */
  add(counter: CounterName, amount: number, id: string): Promise<number>
  /** The total; 0 of a counter that nobody has added to. */
  total(counter: CounterName): Promise<number>
}

/**
 * Counters that the server keeps (`allow_msg_counter`, since 2.12): a message with the header `Nats-Incr` adds, and the
 * ack holds the total, so that adding and asking are one round trip and no two writers can miss one another. Measured on
 * 2.15.1, one connection: 2,900 a second one after the other, 23,000 a second side by side.
 */
export class Counters implements CounterPort {
  constructor(
    private readonly link: Link,
    private readonly publisher: Publisher,
    private readonly names: MeshNames,
  ) {}

  async add(counter: CounterName, amount: number, id: string): Promise<number> {
    const headers = { "Nats-Incr": `+${amount}`, "Nats-Msg-Id": id }
    const ack = await this.publisher.append(this.#subject(counter), new Uint8Array(), undefined, headers)
    return ack.val === undefined ? this.total(counter) : Number(ack.val) // a repeat is acked without the total
  }

  async total(counter: CounterName): Promise<number> {
    const subject = this.#subject(counter)
    const message = await this.link.manager.streams.getMessage(this.names.budgets, { last_by_subj: subject })
    if (message === null) return 0
    try {
      const { val } = JSON.parse(Buffer.from(message.data).toString()) as { val: string }
      return Number(BigInt(val))
    } catch (thrown) {
      throw new MurmurError(`Cannot read the counter "${subject}": ${ensureError(thrown).message}`, {
        code: "COUNTER_READ",
        cause: thrown,
      })
    }
  }

  #subject({ root, kind }: CounterName): string {
    return `${this.names.mesh}.budget.${encodeKey(root)}.${kind}`
  }
}
