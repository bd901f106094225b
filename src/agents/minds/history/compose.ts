import { MurmurError, TerminalError } from "../../../errors.js"
import type { Evolvers } from "../../context.js"
import type { StateOptions } from "../../define-agent.js"
import {
  type Conversation,
  foldSaid,
  foldSummarised,
  NO_CONVERSATION,
  type Said,
  type Summarised,
} from "./conversation.js"

/** Names of the entries that a conversation is made of. */
export const SAID = "murmur.said"
export const SUMMARISED = "murmur.summarised"

/** The state of a session with history: the agent's own, and the conversation beside it. */
export interface ComposedState<S = unknown> {
  readonly own?: S
  readonly history: Conversation
}

/** Versions from here on are of composed states: an agent may be given a history later, and its sessions are folded anew. */
const COMPOSED = 1_000_000

/**
 * The state of an agent with history: entries of the conversation fold into `history`, all others into the agent's own
 * state, by its own `evolve`.
 *
 * @throws MurmurError `AGENT_OPTION` when the agent's own entries have names of ours
 */
export function composeState<S, E extends Evolvers<S>>(
  agent: string,
  own: StateOptions<S, E> | undefined,
): StateOptions<ComposedState<S>, Evolvers<ComposedState<S>>> {
  const { initial, evolve = {}, version = 1, migrate, ...rest } = own ?? ({} as Partial<StateOptions<S, E>>)
  const ours = Object.keys(evolve).find((name) => name.startsWith("murmur."))
  if (ours !== undefined) {
    throw new MurmurError(
      `Cannot create agent "${agent}": state.evolve.${ours} must have another name; those beginning with "murmur." are murmur's own`,
      { code: "AGENT_OPTION", details: { agent } },
    )
  }
  const start = { ...(own !== undefined && { own: initial as S }), history: NO_CONVERSATION }
  return {
    ...rest,
    initial: start,
    version: COMPOSED + version,
    evolve: {
      ...Object.fromEntries(Object.entries<Step<S>>(evolve).map(([name, step]) => [name, within(step)])),
      [SAID]: (state: ComposedState<S>, data: Said) => ({ ...state, history: foldSaid(state.history, data) }),
      [SUMMARISED]: (state: ComposedState<S>, data: Summarised) => ({
        ...state,
        history: foldSummarised(state.history, data),
      }),
    },
    migrate: (state, from) => {
      const before = from > COMPOSED ? (state as ComposedState) : { own: state, history: NO_CONVERSATION }
      const fromOwn = from > COMPOSED ? from - COMPOSED : from
      if (own === undefined || fromOwn === version) return { ...before, own: before.own as S }
      if (migrate !== undefined) return { ...before, own: migrate(before.own, fromOwn) }
      throw noMigrate(agent, fromOwn, version)
    },
  }
}

type Step<S> = (state: S, data: unknown) => S

function within<S>(step: Step<S>) {
  return (state: ComposedState<S>, data: unknown): ComposedState<S> => {
    const own = step(state.own as S, data)
    return Object.is(own, state.own) ? state : { ...state, own }
  }
}

/** What `ctx.state` shows of a composed state. */
export function ownState(state: unknown): unknown {
  return (state as ComposedState | undefined)?.own
}

/** The conversation in a composed state. */
export function conversationOf(state: unknown): Conversation {
  return (state as ComposedState | undefined)?.history ?? NO_CONVERSATION
}

function noMigrate(agent: string, from: number, version: number): TerminalError {
  return new TerminalError(
    `Cannot read a session of "${agent}": its log was trimmed (state.keepCommits), what is left begins with state version ${from}, and the agent has version ${version}. Give the agent a state.migrate that turns the old state into the new one`,
    { code: "STATE_MIGRATE", details: { found: from, wanted: version } },
  )
}
