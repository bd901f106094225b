import type { z } from "zod"
import { MurmurError } from "../errors.js"
import type { EventDraft, MurmurEvent } from "./event.js"
import { checkType } from "./subjects.js"

const EVENT = Symbol.for("murmur.event")

/** What may be said about one event besides its data. */
export interface DraftOptions {
  /** The entity it is about; overrides the definition's `key`. */
  key?: string
  /** Makes the publish idempotent: the same id is stored once inside the dedup window. */
  id?: string
  /** When it happened; default now. */
  time?: Date | string
}

/** An event of a definition narrowed by a predicate: what `Event.where(...)` returns. */
export interface EventSelection<T = unknown> {
  readonly type: string
  readonly definition: EventDefinition<T>
  /** Evaluated where the agent runs, on validated data. */
  readonly predicate: (event: MurmurEvent<T>) => boolean
}

/** A typed event: call it to make a draft, name it in `on` to react to it, in `emits` to be allowed to emit it. */
export interface EventDefinition<T = unknown> {
  /** A number in place of options is ignored, so that a definition can be given to `map` as it is. */
  (data: T, options?: DraftOptions | number): EventDraft<T>
  readonly type: string
  readonly schema: z.ZodType<T>
  readonly description: string | undefined
  /** The key of an event with this data, or `undefined` when the event has none. */
  readonly keyOf: (data: T) => string | undefined
  /** Narrows the event by a predicate in code. It belongs to the agent and runs where the agent runs. */
  where(predicate: (event: MurmurEvent<T>) => boolean): EventSelection<T>
  /** Whether `event` is of this type (its data was validated when it was received). */
  is(event: MurmurEvent): event is MurmurEvent<T>
}

// biome-ignore lint/suspicious/noExplicitAny: a list of definitions of different data has no common parameter type
export type AnyEventDefinition = EventDefinition<any>

/** Options of {@link defineEvent}. */
export interface DefineEventOptions<T> {
  /** The entity that an event is about, from its data: it orders and partitions. Without it events of this type have no key. */
  key?: (data: T) => string
  /** One sentence for the catalogue (`murmur events`). */
  description?: string
}

/**
 * Defines an event type with the schema of its data. Data is checked when it is published and again when it is received.
 *
 * @param type a fact in the past tense, tokens joined by dots: `ci.run.completed`
 * @throws MurmurError `EVENT_TYPE` when the type is not made of tokens of letters, digits, `_` and `-`
 * @example
 * const Tick = defineEvent("market.tick", z.object({ symbol: z.string(), price: z.number() }), { key: (d) => d.symbol })
 * await bus.publish(Tick({ symbol: "BTC/USD", price: 64_000 }), { producer: "feed" })
 */
export function defineEvent<T>(
  type: string,
  schema: z.ZodType<T>,
  options: DefineEventOptions<T> = {},
): EventDefinition<T> {
  checkType(type)
  for (const name of Object.keys(options)) {
    if (name !== "key" && name !== "description") {
      throw new MurmurError(`Cannot define event "${type}": unknown option "${name}" (known: key, description)`, {
        code: "EVENT_OPTION",
      })
    }
  }
  const keyOf = (data: T): string | undefined => options.key?.(data)
  const make = (data: T, options?: DraftOptions | number): EventDraft<T> => {
    const draft = typeof options === "object" ? options : {}
    const time = draft.time instanceof Date ? draft.time.toISOString() : draft.time
    return { type, data, key: draft.key ?? keyOf(data), id: draft.id, time }
  }
  const definition: EventDefinition<T> = Object.assign(make, {
    type,
    schema,
    description: options.description,
    keyOf,
    where: (predicate: (event: MurmurEvent<T>) => boolean): EventSelection<T> => ({ type, definition, predicate }),
    is: (event: MurmurEvent): event is MurmurEvent<T> => event.type === type,
  })
  Object.defineProperty(definition, EVENT, { value: true })
  return definition
}

/** Whether `value` came from {@link defineEvent} (also of another loaded copy of murmur). */
export function isEventDefinition(value: unknown): value is EventDefinition {
  return typeof value === "function" && EVENT in value
}
