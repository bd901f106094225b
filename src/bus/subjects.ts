import { createHash } from "node:crypto"
import { MurmurError } from "../errors.js"

/**
 * Subjects of the mesh. Two forms exist and must never be mixed up: what is published
 * (`<mesh>.ev.<producer>.<key>.<type>`), and what the stream's transform stores
 * (`<mesh>.ev.<p8>.<p64>.<producer>.<key>.<type>`). A stored subject published again would be transformed again.
 */
declare const published: unique symbol
declare const stored: unique symbol

/** The subject an event is published to. */
export type PublishSubject = string & { readonly [published]: true }
/** The subject an event has in the EVENTS stream: use it for reads and filters. */
export type StoredSubject = string & { readonly [stored]: true }

/** What a subject says about its event. */
export interface SubjectParts {
  readonly producer: string
  /** `undefined` when the event has no key, or when the key is hashed in the subject (the envelope keeps it whole). */
  readonly key: string | undefined
  readonly type: string
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/
const TYPE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
/** Mesh, producer, key and type. The server stores any tokens, a literal "*" too: what could never have been published by us does not fit. */
const PUBLISHED = /^([^.]+)\.ev\.([a-z0-9][a-z0-9_-]{0,63})\.([^.]+)\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$/
const STORED =
  /^([^.]+)\.ev\.\d{1,2}\.\d{1,2}\.([a-z0-9][a-z0-9_-]{0,63})\.([^.]+)\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$/
const PATTERN = /^(?:(?:[A-Za-z0-9_-]+|\*)\.)*(?:[A-Za-z0-9_-]+|\*|>)$/
const TYPE_LENGTH_MAX = 200
const KEY_TOKEN_BYTES_MAX = 200
const NO_KEY = "_"
const EMPTY_KEY = "%"
const HASHED_KEY = "%h"
const HASHED_TOKEN = /^%h[A-Za-z0-9_-]{43}$/

/**
 * Meshes, producers, agents and sources are named alike: they become subject tokens and parts of stream names.
 *
 * @throws MurmurError `NAME_INVALID`
 */
export function checkName(name: string, what: string): string {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new MurmurError(
      `Cannot name the ${what} ${JSON.stringify(name)}: a name is 1 to 64 of a-z, 0-9, "_" and "-", and starts with a letter or digit`,
      { code: "NAME_INVALID", details: { name, what } },
    )
  }
  return name
}

function isType(type: string): boolean {
  return typeof type === "string" && type.length <= TYPE_LENGTH_MAX && TYPE.test(type)
}

/** @throws MurmurError `EVENT_TYPE` when `type` cannot be the end of a subject */
export function checkType(type: string): string {
  if (!isType(type)) {
    throw new MurmurError(
      `Cannot use ${JSON.stringify(type)} as an event type: it must be tokens of letters, digits, "_" and "-", joined by dots, at most ${TYPE_LENGTH_MAX} characters`,
      { code: "EVENT_TYPE", details: { type } },
    )
  }
  return type
}

/**
 * A key as one subject token. Percent-encodes what NATS or a terminal would stumble over; keys whose token would be
 * longer than 200 bytes are replaced by their hash.
 */
export function encodeKey(key: string | undefined): string {
  if (key === undefined) return NO_KEY
  if (key === "") return EMPTY_KEY
  if (key === NO_KEY) return "%5F"
  const token = SAFE_KEY.test(key) ? key : escapeKey(key)
  if (token.length <= KEY_TOKEN_BYTES_MAX) return token
  return HASHED_KEY + createHash("sha256").update(token).digest("base64url")
}

const SAFE_KEY = /^[!-$&-)+,\-/-=?-~]+$/

function escapeKey(key: string): string {
  let token = ""
  for (const char of key) {
    const code = char.codePointAt(0) ?? 0
    token += SAFE_KEY.test(char) ? char : utf8(code).map(hex).join("")
  }
  return token
}

const hex = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`

/** UTF-8 of one code point. Lone surrogates are encoded as three bytes, so that any JavaScript string survives. */
function utf8(code: number): number[] {
  if (code < 0x80) return [code]
  const tail = (shift: number): number => 0x80 | ((code >> shift) & 0x3f)
  if (code < 0x800) return [0xc0 | (code >> 6), tail(0)]
  if (code < 0x10000) return [0xe0 | (code >> 12), tail(6), tail(0)]
  return [0xf0 | (code >> 18), tail(12), tail(6), tail(0)]
}

/**
 * The key that a token stands for; `undefined` for "no key" and for a hashed key.
 *
 * One key has one token. A second spelling of it (`%41` for `A`, lower-case digits) would be hashed to another
 * partition, and its events would overtake those of the first: so other spellings are refused.
 *
 * @throws MurmurError `KEY_TOKEN` when {@link encodeKey} makes no such token
 */
export function decodeKey(token: string): string | undefined {
  if (token === NO_KEY || HASHED_TOKEN.test(token)) return undefined
  if (SAFE_KEY.test(token) && token.length <= KEY_TOKEN_BYTES_MAX) return token
  const key = token === EMPTY_KEY ? "" : unescapeKey(token)
  if (key === undefined) throw badToken(token, "")
  const right = encodeKey(key)
  if (right !== token) throw badToken(token, `; the token of this key is "${right}"`)
  return key
}

/** Undoes {@link escapeKey}; `undefined` where a "%" is not followed by the digits of a code point. */
function unescapeKey(token: string): string | undefined {
  let key = ""
  for (let at = 0; at < token.length; ) {
    if (token[at] !== "%") {
      key += token[at]
      at += 1
      continue
    }
    const lead = byteAt(token, at)
    const size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const bytes = Array.from({ length: size }, (_, index) => byteAt(token, at + 3 * index))
    const first = size === 1 ? lead : lead & (0xff >> (size + 1))
    const code = bytes.slice(1).reduce((value, byte) => (value << 6) | (byte & 0x3f), first)
    if (bytes.some(Number.isNaN) || code > 0x10ffff) return undefined
    key += String.fromCodePoint(code)
    at += 3 * size
  }
  return key
}

/** The byte that `%XX` at this place stands for, or `NaN`. */
function byteAt(token: string, at: number): number {
  const digits = token.slice(at + 1, at + 3)
  return token[at] === "%" && /^[0-9A-F]{2}$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN
}

function badToken(token: string, hint: string): MurmurError {
  return new MurmurError(
    `Cannot read the key token ${JSON.stringify(token)}: a key stands in a subject as it is, but for white space, control and non-ASCII characters and ". * > %", which are percent-encoded (UTF-8, capital digits)${hint}`,
    { code: "KEY_TOKEN", details: { token } },
  )
}

/**
 * How session logs and journals lie in streams. `mesh`: all in one stream of each kind. `agent`: a stream of each kind for
 * every agent, so that a node can be given the right to read those of its agents and no others.
 */
export type StreamLayout = "mesh" | "agent"

/** The subjects and stream names of one mesh. */
export class MeshNames {
  readonly events: string
  readonly timers: string
  readonly dead: string
  readonly budgets: string
  readonly usage: string

  /** @throws MurmurError `NAME_INVALID` */
  constructor(
    readonly mesh: string,
    readonly layout: StreamLayout = "mesh",
  ) {
    checkName(mesh, "mesh")
    this.events = `${mesh}_EVENTS`
    this.timers = `${mesh}_TIMERS`
    this.dead = `${mesh}_DEAD`
    this.budgets = `${mesh}_BUDGETS`
    this.usage = `${mesh}_USAGE`
  }

  /** The stream of an agent's session logs. @throws MurmurError `NAME_INVALID` */
  sessionsOf(agent: string): string {
    return this.#streamOf("SESSIONS", agent)
  }

  /** The stream of an agent's journals. @throws MurmurError `NAME_INVALID` */
  stepsOf(agent: string): string {
    return this.#streamOf("STEPS", agent)
  }

  #streamOf(kind: "SESSIONS" | "STEPS", agent: string): string {
    checkName(agent, "agent")
    return this.layout === "mesh" ? `${this.mesh}_${kind}` : `${this.mesh}_${kind}_${agent}`
  }

  /** What the EVENTS stream listens to, and the transform that adds the partitions of the key. */
  eventSubjects(): { published: string; transformFrom: string; transformTo: string } {
    const ev = `${this.mesh}.ev`
    return {
      published: `${ev}.>`,
      transformFrom: `${ev}.*.*.>`,
      transformTo: `${ev}.{{partition(8,2)}}.{{partition(64,2)}}.{{wildcard(1)}}.{{wildcard(2)}}.>`,
    }
  }

  /** Where an event is published. @throws MurmurError `EVENT_TYPE` or `NAME_INVALID` */
  publishSubject(producer: string, key: string | undefined, type: string): PublishSubject {
    checkType(type)
    return `${this.mesh}.ev.${checkName(producer, "producer")}.${encodeKey(key)}.${type}` as PublishSubject
  }

  /** Reads a published subject. @throws MurmurError `SUBJECT` or `KEY_TOKEN` */
  parsePublished(subject: string): SubjectParts {
    return this.#parse(subject, PUBLISHED)
  }

  /** Reads a stored subject. @throws MurmurError `SUBJECT` or `KEY_TOKEN` */
  parseStored(subject: string): SubjectParts {
    return this.#parse(subject, STORED)
  }

  #parse(subject: string, form: RegExp): SubjectParts {
    const [, mesh, producer = "", keyToken = "", type = ""] = form.exec(subject) ?? []
    if (mesh !== this.mesh || type.length > TYPE_LENGTH_MAX) {
      throw new MurmurError(`Cannot read the subject "${subject}": it is not an event of mesh "${this.mesh}"`, {
        code: "SUBJECT",
        details: { subject },
      })
    }
    return { producer, key: decodeKey(keyToken), type }
  }

  /**
   * Filter over stored events: a pattern on types, optionally one partition, key or producer.
   *
   * @throws MurmurError `NAME_INVALID` for the producer, `FILTER` for a pattern or partition that matches nothing
   */
  storedFilter(
    pattern: string,
    only: { partitions?: 1 | 8 | 64; partition?: number; key?: string; producer?: string } = {},
  ): StoredSubject {
    if (!PATTERN.test(pattern)) {
      throw new MurmurError(
        `Cannot filter events by the pattern ${JSON.stringify(pattern)}: it must be tokens of letters, digits, "_" and "-", or "*", joined by dots, and may end in ">"`,
        { code: "FILTER", details: { pattern } },
      )
    }
    const { partitions = 1, partition = 0, key, producer } = only
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitions) {
      throw new MurmurError(
        `Cannot filter events by partition ${partition} of ${partitions}: it must be 0 to ${partitions - 1}`,
        { code: "FILTER", details: { partition, partitions } },
      )
    }
    const p8 = partitions === 8 ? partition : "*"
    const p64 = partitions === 64 ? partition : "*"
    const producerToken = producer === undefined ? "*" : checkName(producer, "producer")
    const keyToken = key === undefined ? "*" : encodeKey(key)
    return `${this.mesh}.ev.${p8}.${p64}.${producerToken}.${keyToken}.${pattern}` as StoredSubject
  }

  sessionSubject(agent: string, key: string | undefined): string {
    return `${this.mesh}.ses.${checkName(agent, "agent")}.${encodeKey(key)}`
  }

  deadSubject(agent: string, key: string | undefined): string {
    return `${this.mesh}.dead.${checkName(agent, "agent")}.${encodeKey(key)}`
  }
}
