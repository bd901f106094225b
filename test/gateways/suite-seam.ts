import type { Gateway } from "../../src/gateways/gateway.js"
import type { FakeServer } from "../support/llm/fake-server.js"

/** What every gateway is opened with as its key. It may be found in no error. */
export const CANARY_KEY = "sk-canary-9f3b1c77d2e84a05b6"

/** The model that every test asks for, unless it is about models. */
export const MODEL = "fake-model"

/** What a test tells the provider, and asks it afterwards. */
export type SuiteServer = Pick<FakeServer, "reply" | "last" | "seen" | "calls" | "close">

export interface Opened {
  readonly gateway: Gateway
  readonly server: SuiteServer
}

/** Opens a gateway to a provider that nobody has asked anything yet. */
export type Open = (options?: { readonly idleTimeoutMs?: number }) => Promise<Opened>

/** What a provider can do; what is not named, it can. */
export interface Can {
  /** There is a network in between, with all that can go wrong on it. */
  readonly network?: boolean
  readonly embed?: boolean
  readonly dimensions?: boolean
  readonly pull?: boolean
  readonly images?: boolean
  /** Whether an image's address is sent as it is. */
  readonly imageUrls?: boolean
  readonly reasoning?: boolean
  readonly toolChoice?: boolean
  /** Whether results of tools are sent back under the call's id. */
  readonly toolCallIds?: boolean
  /** Whether the arguments of a tool call travel as text, which may then be no JSON. */
  readonly malformed?: boolean
  /** Whether the server is told the schema of an object. */
  readonly schema?: boolean
  /** Whether it may hold an answer back, and says so. */
  readonly filters?: boolean
  readonly temperature?: boolean
  readonly seed?: boolean
  readonly stop?: boolean
  /** Whether it counts tokens that it had in its cache, and those of reasoning. */
  readonly cachedTokens?: boolean
  readonly reasoningTokens?: boolean
  /** Whether it ends a stream by saying so, so that one that was cut can be told from a whole one. */
  readonly streamEnd?: boolean
}

/** What a part of the suite is given. */
export interface Suite {
  readonly open: Open
  /** Whether the provider can do it. */
  can(what: keyof Can): boolean
}
