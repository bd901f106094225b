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
 * @throws MurmurError `EVENT_TYPE` when the type is not made of tokens of letters, digits, `_` and `-`; `EVENT_OPTION` for
 * an unknown or wrong option. Making a draft throws `EVENT_OPTION`, `EVENT_KEY` (not a string) or `EVENT_TIME`
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
  checkDefinition(type, schema, options)
  const keyOf = (data: T): string | undefined => options.key?.(data)
  const make = (data: T, options?: DraftOptions | number): EventDraft<T> => {
    if (typeof options !== "object")
      return { type, data, key: checkKey(type, keyOf(data)), id: undefined, time: undefined }
    checkKnown(`make an event "${type}"`, options, DRAFT_OPTIONS)
    const key = checkKey(type, options.key ?? keyOf(data))
    return { type, data, key, id: options.id, time: timeOf(type, options.time) }
  }
  const definition: EventDefinition<T> = Object.assign(make, {
    type,
    schema,
    description: options.description,
    keyOf,
    where: (predicate: (event: MurmurEvent<T>) => boolean): EventSelection<T> => {
      if (typeof predicate === "function") return { type, definition, predicate }
      throw wrongOption(`narrow event "${type}"`, `the predicate must be a function, is ${typeof predicate}`)
    },
    is: (event: MurmurEvent): event is MurmurEvent<T> => event.type === type,
  })
  Object.defineProperty(definition, EVENT, { value: true })
  return definition
}

const OPTIONS = ["key", "description"]
const DRAFT_OPTIONS = ["key", "id", "time"]

function checkDefinition<T>(type: string, schema: z.ZodType<T>, options: DefineEventOptions<T>): void {
  const action = `define event "${type}"`
  checkKnown(action, options, OPTIONS)
  if (typeof (schema as Partial<typeof schema> | undefined)?.safeParse !== "function") {
    throw wrongOption(action, `the schema must be a zod schema, is ${schema === null ? "null" : typeof schema}`)
  }
  if (options.key !== undefined && typeof options.key !== "function") {
    throw wrongOption(action, `"key" must be a function from the data to a string, is ${typeof options.key}`)
  }
}

function checkKnown(action: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) throw wrongOption(action, `unknown option "${unknown}" (known: ${known.join(", ")})`)
}

function wrongOption(action: string, why: string): MurmurError {
  return new MurmurError(`Cannot ${action}: ${why}`, { code: "EVENT_OPTION" })
}

/** Data that did not pass the schema yet may give anything for a key. */
function checkKey(type: string, key: string | undefined): string | undefined {
  if (key === undefined || typeof key === "string") return key
  throw new MurmurError(`Cannot make an event "${type}": its key must be a string, is ${JSON.stringify(key)}`, {
    code: "EVENT_KEY",
  })
}

function timeOf(type: string, time: Date | string | undefined): string | undefined {
  if (!(time instanceof Date)) return time
  if (!Number.isNaN(time.getTime())) return time.toISOString()
  throw new MurmurError(`Cannot make an event "${type}": its time is an invalid Date`, { code: "EVENT_TIME" })
}

/** Whether `value` came from {@link defineEvent} (also of another loaded copy of murmur). */
export function isEventDefinition(value: unknown): value is EventDefinition {
  return typeof value === "function" && EVENT in value
}
