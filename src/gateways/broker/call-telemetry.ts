import { errorCode } from "../../errors.js"
import type { Attributes, Span, Telemetry } from "../../telemetry/ports.js"
import type { KnownModel } from "../models/known-model.js"
import type { Answer } from "./asked.js"
import type { BrokerCall, Spent } from "./broker.js"
import type { BrokerSettings } from "./options.js"
import type { Work } from "./work.js"

/** What a call of the broker shows of itself while it lasts. */
export interface CallTelemetry {
  /** A request was answered, and has cost so much. */
  spent<T>(model: KnownModel, work: Work<T>, answer: T, spent: Spent, firstPartMs: number | undefined): void
  /** A request has failed and will be sent again. */
  retrying(model: KnownModel, error: Error, delayMs: number): void
  /** A model has failed for good. */
  failed(model: KnownModel, error: Error): void
}

const MICRO = 1_000_000

/**
 * Runs a call in a span of its own, `chat <model>` or `embeddings <model>` for the first of its models, and measures it.
 * With telemetry off it only runs it.
 */
export function observed<T>(
  settings: BrokerSettings,
  first: { readonly provider: string; readonly model: string },
  work: Work<T>,
  call: BrokerCall,
  run: (telemetry: CallTelemetry) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const { tracing, metrics } = settings.telemetry
  if (tracing.enabled || metrics.enabled) return inSpan(settings, first, work, call, run)
  return run(counting(settings.telemetry, call.agent))
}

async function inSpan<T>(
  settings: BrokerSettings,
  first: { readonly provider: string; readonly model: string },
  work: Work<T>,
  call: BrokerCall,
  run: (telemetry: CallTelemetry) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const { tracing, metrics } = settings.telemetry
  const began = settings.clock.steady()
  const labels = {
    "gen_ai.operation.name": work.operation,
    "gen_ai.provider.name": first.provider,
    "gen_ai.request.model": first.model,
  }
  const span = tracing.start(`${work.operation} ${first.model}`, {
    kind: "client",
    attributes: { ...labels, "murmur.agent": call.agent, ...content(settings, work, undefined) },
    ...(call.trace !== undefined && { parent: call.trace }),
  })
  let outcome: Attributes = {}
  try {
    const answered = await span.run(() => run(counting(settings.telemetry, call.agent)))
    span.set({ ...answerAttributes(work, answered), ...content(settings, work, answered.answer) })
    return answered
  } catch (thrown) {
    outcome = { "error.type": errorCode(thrown) }
    failSpan(span, thrown, outcome)
    throw thrown
  } finally {
    span.end()
    metrics.duration("gen_ai.client.operation.duration", (settings.clock.steady() - began) / 1_000, {
      ...labels,
      ...outcome,
    })
  }
}

function failSpan(span: Span, thrown: unknown, outcome: Attributes): void {
  span.set(outcome)
  if (thrown instanceof Error) span.fail(thrown)
}

function answerAttributes<T>(
  work: Work<T>,
  { answer, answeredBy, costMicroUsd, cached, tries }: Answer<T>,
): Attributes {
  const { inputTokens, outputTokens, cachedTokens, reasoningTokens } = work.usage(answer)
  const { model, finishReason, id } = work.describe(answer)
  return {
    "gen_ai.response.model": model,
    "gen_ai.response.id": id,
    "gen_ai.response.finish_reasons": finishReason,
    "gen_ai.usage.input_tokens": inputTokens,
    "gen_ai.usage.output_tokens": outputTokens,
    "gen_ai.usage.cache_read.input_tokens": cachedTokens,
    "gen_ai.usage.reasoning.output_tokens": reasoningTokens,
    "murmur.llm.answered_by": answeredBy,
    "murmur.llm.cost_usd": costMicroUsd === undefined ? undefined : costMicroUsd / MICRO,
    "murmur.llm.cached": cached,
    "murmur.llm.tries": tries,
  }
}

function content<T>({ captureContent, telemetry }: BrokerSettings, work: Work<T>, answer: T | undefined): Attributes {
  return captureContent && telemetry.tracing.enabled ? work.content(answer) : {}
}

/** Counts, and tells of failures at the level of details: the call's end is told by whoever asked. */
function counting({ metrics, log }: Telemetry, agent: string | undefined): CallTelemetry {
  return {
    spent: (model, work, answer, { costMicroUsd }, firstPartMs) => {
      if (!metrics.enabled) return
      const labels = modelLabels(model, agent)
      const { inputTokens, outputTokens } = work.usage(answer)
      const used = { "gen_ai.operation.name": work.operation, ...labels }
      metrics.duration("gen_ai.client.token.usage", inputTokens, { ...used, "gen_ai.token.type": "input" })
      metrics.duration("gen_ai.client.token.usage", outputTokens, { ...used, "gen_ai.token.type": "output" })
      if (costMicroUsd !== undefined) metrics.count("murmur.llm.cost", costMicroUsd / MICRO, labels)
      if (firstPartMs !== undefined) {
        metrics.duration("gen_ai.server.time_to_first_token", firstPartMs / 1_000, labels)
      }
    },
    retrying: (model, error, delayMs) => {
      log.debug({ model: model.name, code: errorCode(error), delayMs }, "Asking a model again")
      if (metrics.enabled)
        metrics.count("murmur.llm.retries", 1, { ...modelLabels(model, agent), "error.type": errorCode(error) })
    },
    failed: (model, error) => log.debug({ model: model.name, code: errorCode(error) }, "A model has failed for good"),
  }
}

function modelLabels({ provider, model }: KnownModel, agent: string | undefined): Attributes {
  return { "gen_ai.provider.name": provider, "gen_ai.request.model": model, agent }
}
