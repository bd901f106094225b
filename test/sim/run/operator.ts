import { DeadLetter } from "../../../src/agents/dead-letters.js"
import { inboxType } from "../../../src/agents/host.js"
import type { Question, Resume } from "../../../src/agents/suspension.js"
import { derivedId } from "../../../src/bus/ids.js"
import { eventOf } from "../../../src/node/dead-letter-store.js"
import { Link } from "../model/link.js"
import { Process } from "../world/process.js"
import { SimEvents } from "./events.js"
import type { SimMesh } from "./mesh.js"

/** The people at the command line: they answer questions, sometimes two at once, and send dead letters back. */
export class Operator {
  readonly #link: Link
  readonly #events: SimEvents
  readonly #asked = new Set<string>()
  #busy = 0

  constructor(private readonly mesh: SimMesh) {
    this.#link = new Link(new Process(mesh.world, "operator"), mesh.server)
    this.#events = new SimEvents(this.#link, mesh)
  }

  /** Whether nobody is about to do something. */
  get idle(): boolean {
    return this.#busy === 0
  }

  /** A question is on the list: somebody may answer it, in time, late, or at the last moment. */
  asked(question: Question): void {
    const { random } = this.mesh.world
    if (this.#asked.has(question.id)) return
    this.#asked.add(question.id)
    const timeoutMs = Date.parse(question.until) - this.mesh.world.now
    const answers = random.pick([[], ["yes"], ["no"], ["yes", "no"]])
    const inMs = random.pick([10, timeoutMs / 2, timeoutMs, timeoutMs + 300])
    for (const answer of answers) this.#later(inMs * random.between(0.9, 1.1), () => this.#answer(question, answer))
  }

  /** Sends back what is in the dead letters by then. */
  retriesLettersAt(inMs: number): void {
    this.#later(inMs, async () => {
      for (const record of this.mesh.streams.dead.records) {
        await this.#retry(record.seq, DeadLetter.parse(JSON.parse(Buffer.from(record.data).toString())))
      }
    })
  }

  async #answer({ id, agent, key, step, position }: Question, answer: string): Promise<void> {
    const data: Resume = { kind: "answer", step, position, question: id, answer, by: "somebody" }
    const draft = { id: derivedId("answer", id, answer), type: inboxType(agent), key, data }
    await this.#events.publish(draft, { producer: "cli" })
  }

  /** As the dead letters' own retry does: the inbox, the event, and then the letter is deleted. */
  async #retry(seq: number, letter: DeadLetter): Promise<void> {
    const { mesh } = this
    mesh.world.note("operator", () => `sends ${letter.event.id} back to ${letter.agent}`)
    await this.#link.publish(() => mesh.openInbox(letter.agent))
    const event = eventOf(letter)
    const id = derivedId("retry", letter.id, seq)
    const draft = { id, type: inboxType(letter.agent), key: event.key, data: event }
    await this.#events.publish(draft, { producer: "cli", cause: { ...event, seq: 0 } })
    await this.#link.publish(() => mesh.streams.dead.delete(seq))
  }

  #later(inMs: number, work: () => Promise<void>): void {
    this.#busy += 1
    this.mesh.world.after(inMs, () => {
      void work().then(() => {
        this.#busy -= 1
      })
    })
  }
}
