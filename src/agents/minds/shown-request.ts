import type { BrokerRequest } from "../../gateways/broker/broker.js"
import type { AgentDefinition } from "../define-agent.js"
import type { PreviousAttempt } from "../journal/attempts.js"
import { withAttemptNote } from "./attempt-note.js"
import { DEFAULT_SHARES } from "./history/options.js"
import { deployedMind, type MindSource } from "./mindful-context.js"
import { withinWindow } from "./within-window.js"

/**
 * A request as the model of an agent with instructions is shown it: with a note on the attempt before, and cut to what its
 * window holds. None of this is part of what makes the request the same on the next attempt.
 */
export function shownRequest(
  request: BrokerRequest,
  agent: AgentDefinition,
  minds: MindSource | undefined,
  previous: PreviousAttempt | undefined,
): BrokerRequest {
  if (agent.instructions === undefined) return request
  const { windowTokens, answerTokens } = deployedMind(agent, minds)
  const context = Math.min(windowTokens, request.options.contextTokens ?? Number.POSITIVE_INFINITY)
  const answer = answerTokens ?? Math.floor((agent.history?.shares ?? DEFAULT_SHARES).answer * context)
  const noted = withAttemptNote(request.messages, previous)
  return { ...request, messages: withinWindow(noted, request.tools, context - answer) }
}
