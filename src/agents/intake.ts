import { decode, type StoredMessage, undecodableError } from "../bus/decode.js"
import type { AnyEventDefinition } from "../bus/define-event.js"
import type { MurmurEvent } from "../bus/event.js"
import type { MeshNames } from "../bus/subjects.js"
import { ensureError, MurmurError } from "../errors.js"
import { type GivenUp, letterEvent } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import { forgedTask } from "./delegation/duty.js"
import { readInboxEvent } from "./inbox-event.js"
import { type Resume, readResume } from "./suspension.js"

/** Whether an event concerns an agent, by the routing table. */
export interface Routing {
  /** By pattern and JSON filter only: what can be decided before the data was validated. */
  admits(event: MurmurEvent): boolean
  /** By everything, predicates in code included. Only for validated data. May throw what a predicate throws. */
  concerns(event: MurmurEvent): boolean
}

/** What becomes of a message: nothing, a dead letter, a step, or that a suspended step goes on. */
export type Intake =
  | { readonly kind: "skip" }
  | { readonly kind: "dead"; readonly given: GivenUp }
  | { readonly kind: "run"; readonly event: MurmurEvent }
  | { readonly kind: "resume"; readonly event: MurmurEvent; readonly resume: Resume }

const SKIP: Intake = { kind: "skip" }
/** Dead letters sent back to their agent arrive under this type; the event itself is the data. */
const INBOX_PREFIX = "murmur.inbox."

/** Reads, routes and validates what arrives for one agent. What cannot be read or does not fit never reaches a handler. */
export class IntakeGate {
  readonly #schemas: ReadonlyMap<string, AnyEventDefinition>
  readonly #inboxType: string

  constructor(
    private readonly agent: AgentDefinition,
    private readonly names: MeshNames,
    private readonly routing: Routing,
  ) {
    const definitions = agent.triggers.flatMap(({ definition }) => (definition === undefined ? [] : [definition]))
    this.#schemas = new Map(definitions.map((definition) => [definition.type, definition]))
    this.#inboxType = INBOX_PREFIX + agent.name
  }

  /** @param inbox whether it came by the agent's own inbox, which other routes never show */
  admit(message: StoredMessage, inbox = false): Intake {
    const decoded = decode(this.names, message)
    if (!decoded.ok) {
      const { partial, issues } = decoded
      const event = { ...MALFORMED, ...partial, ...(partial.key !== undefined && { subject: partial.key }), data: null }
      const { key, ...letter } = { ...event, source: `/murmur/${this.names.mesh}`, correlationid: partial.id }
      return this.#dead("malformed", letter, key, undecodableError(decoded), { issues, raw: message.data })
    }
    const arrived = decoded.event
    if (arrived.type.startsWith(INBOX_PREFIX)) {
      return inbox && arrived.type === this.#inboxType ? this.#fromInbox(arrived) : SKIP
    }
    return this.inspect(arrived)
  }

  /** Routes and validates an event that was read already. */
  inspect(arrived: MurmurEvent): Intake {
    try {
      if (!this.routing.admits(arrived)) return SKIP
      return this.#check(arrived, (event) => this.routing.concerns(event))
    } catch (thrown) {
      // a predicate or a schema of the agent's code threw: without care that would end the consumption of everything
      return this.#dead("terminal", letterEvent(arrived), arrived.key, ensureError(thrown), { event: arrived })
    }
  }

  /** A dead letter that was sent back: it was routed here once, so only its data is checked again. */
  #fromInbox(arrived: MurmurEvent): Intake {
    const resume = readResume(arrived)
    if (resume !== undefined) return { kind: "resume", event: arrived, resume }
    const event = readInboxEvent(arrived)
    return event === undefined ? this.refuse(arrived) : this.recheck(event)
  }

  /** What was sent to the agent alone, and is nothing that it can go on with. */
  refuse(arrived: MurmurEvent): Intake {
    const why = new MurmurError(
      `Event ${arrived.id} was sent to "${this.agent.name}" alone and holds no event, or "${arrived.producer}" may not say what it says`,
      {
        code: "EVENT_ENVELOPE",
      },
    )
    return this.#dead("malformed", letterEvent(arrived), arrived.key, why, { event: arrived })
  }

  /** An event that was routed here once, and comes again: only its data is checked. */
  recheck(event: MurmurEvent): Intake {
    try {
      return this.#check(event, () => true)
    } catch (thrown) {
      return this.#dead("terminal", letterEvent(event), event.key, ensureError(thrown), { event })
    }
  }

  #check(arrived: MurmurEvent, concerns: (event: MurmurEvent) => boolean): Intake {
    const letter = (): GivenUp["event"] => letterEvent(arrived)
    const definition = this.#schemas.get(arrived.type)
    const forged = forgedTask(this.agent.name, arrived)
    if (forged !== undefined) return this.#dead("malformed", letter(), arrived.key, forged, { event: arrived })
    let event = arrived
    if (definition !== undefined) {
      const checked = definition.schema.safeParse(arrived.data)
      if (!checked.success) {
        const issues = checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message }))
        return this.#dead("schema", letter(), arrived.key, schemaError(arrived, issues), { issues, event: arrived })
      }
      event = { ...arrived, data: checked.data }
    }
    if (!concerns(event)) return SKIP
    return { kind: "run", event }
  }

  #dead(
    reason: GivenUp["reason"],
    event: GivenUp["event"],
    key: string | undefined,
    error: Error,
    more: { issues?: GivenUp["issues"]; raw?: Uint8Array; event?: MurmurEvent },
  ): Intake {
    const { issues, raw } = more
    const traceparent = more.event?.trace?.traceparent
    return {
      kind: "dead",
      given: { agent: this.agent.name, reason, event, key, error, issues, raw, traceparent, attempts: [] },
    }
  }
}

/** What a message that is no event has in place of an envelope. */
const MALFORMED = { specversion: "1.0", hops: 0, trust: "external" } as const

function schemaError(event: MurmurEvent, issues: readonly { path: string; message: string }[]): MurmurError {
  const first = issues[0]
  return new MurmurError(
    `Event ${event.id} of type "${event.type}" does not fit its schema at "${first?.path}": ${first?.message}`,
    { code: "EVENT_DATA", details: { issues } },
  )
}
