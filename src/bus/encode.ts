import { ensureError, MurmurError } from "../errors.js"
import { BAGGAGE, heritableBaggage } from "./baggage.js"
import { extendPath, ROOT_PATH } from "./causal-path.js"
import type { EventDraft, MurmurEvent, TraceContext, Trust } from "./event.js"
import { toCloudEvent } from "./event.js"
import { freshId } from "./ids.js"

/** `content-type` of an event in structured mode. */
export const STRUCTURED = "application/cloudevents+json"

/** What the bus adds to a draft. */
export interface Provenance {
  readonly mesh: string
  /** Who publishes: it stands in the subject. */
  readonly producer: string
  /** The event that this one answers. Correlation, causation, hops, path, outside trust and baggage are inherited from it. */
  readonly cause?: MurmurEvent | undefined
  /** Default `internal`; an external cause always wins. */
  readonly trust?: Trust | undefined
  readonly trace?: TraceContext | undefined
}

/** An event that has its whole envelope and waits to be stored. */
export type SealedEvent<T = unknown> = Omit<MurmurEvent<T>, "seq">

/**
 * Completes a draft to an event.
 *
 * @param id overrides the draft's own; default: that one, else a fresh one
 */
export function seal<T>(draft: EventDraft<T>, from: Provenance, id = draft.id ?? freshId()): SealedEvent<T> {
  const cause = from.cause
  return {
    id,
    source: draft.source ?? `/murmur/${from.mesh}/${from.producer}`,
    type: draft.type,
    time: draft.time ?? new Date().toISOString(),
    key: draft.key,
    data: draft.data,
    producer: from.producer,
    correlationid: cause?.correlationid ?? id,
    causationid: cause?.id,
    hops: cause === undefined ? 0 : cause.hops + 1,
    path: cause === undefined ? ROOT_PATH : extendPath(cause.path, from.producer),
    trust: cause?.trust === "external" ? "external" : (from.trust ?? "internal"),
    trace: from.trace,
    extensions: extensionsOf(draft, cause),
  }
}

/** A draft's own baggage wins: a producer may set it anew, or end it with an empty one. */
function extensionsOf({ extensions }: EventDraft, cause: MurmurEvent | undefined): MurmurEvent["extensions"] {
  const own = extensions ?? NO_EXTENSIONS
  if (cause?.extensions[BAGGAGE] === undefined || own[BAGGAGE] !== undefined) return own
  const inherited = heritableBaggage(cause)
  return inherited === undefined ? own : { ...own, [BAGGAGE]: inherited }
}

const NO_EXTENSIONS: Readonly<Record<string, never>> = Object.freeze({})

/** The payload of an event in structured mode. @throws MurmurError `EVENT_DATA` for data that JSON cannot hold */
export function encode(event: SealedEvent): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(toCloudEvent(event)))
  } catch (cause) {
    throw new MurmurError(
      `Cannot encode an event "${event.type}": its data must be JSON, but ${ensureError(cause).message}`,
      { code: "EVENT_DATA", details: { type: event.type }, cause },
    )
  }
}
