/**
 * murmur: a mesh of long-lived agents that react to events.
 *
 * @packageDocumentation
 */
export type { AskOptions } from "./agents/ask.js"
export type { BranchContext } from "./agents/branch-context.js"
export {
  type GetArtifactOptions,
  getArtifact,
  type HttpFetchOptions,
  httpFetch,
  putArtifact,
  type ReadFileOptions,
  type ResolveDateOptions,
  readFile,
  resolveDate,
  type ShellOptions,
  shell,
  type TaskListOptions,
  taskList,
  type WriteFileOptions,
  writeFile,
} from "./agents/builtin/index.js"
export type { ReactContext, StepContext } from "./agents/context.js"
export {
  type AgentDefinition,
  type AgentOptions,
  defineAgent,
  type EventOf,
  type HandlerOptions,
  type InstructionOptions,
  type ReactOptions,
  type RetryOptions,
  type RouteTrigger,
  route,
  type SupervisionOptions,
  type Trigger,
  type WindowOptions,
} from "./agents/define-agent.js"
export { agreed } from "./agents/delegation/agreed.js"
export type { GatherTask } from "./agents/delegation/delegation.js"
export type {
  ContextOptions,
  DelegateOptions,
  GatherMode,
  GatherOptions,
  HandoffOptions,
} from "./agents/delegation/options.js"
export { type TaskContext, type TaskData, type TaskResult, taskDraft } from "./agents/delegation/task.js"
export { BudgetExceeded } from "./agents/guards/guard-tripped.js"
export type { PastCall, PreviousAttempt } from "./agents/journal/attempts.js"
export { RunEvents } from "./agents/llm/run-events.js"
export type { StepTool } from "./agents/llm/step-tool.js"
export { delimited, type Provenance } from "./agents/minds/delimited.js"
export type { HistoryOptions, HistoryShares } from "./agents/minds/history/options.js"
export { askTool, delegateTool, emitTool } from "./agents/minds/step-tools.js"
export { renderTemplate } from "./agents/minds/template.js"
export { type AgentTest, type AgentTestOptions, type AgentTestResult, testAgent } from "./agents/test-agent.js"
export { defineTool, type ToolOptions } from "./agents/tools/define-tool.js"
export type { AnyTool, Reconciled, Tool, ToolContext, ToolEffect, ToolFunctions } from "./agents/tools/tool.js"
export { sessionWindow, sliding, tumbling } from "./agents/windows/operators.js"
export type { EventWindow } from "./agents/windows/window-set.js"
export type { WorkError, WorkOutcome } from "./agents/work-outcome.js"
export {
  type BranchWork,
  type Cases,
  choose,
  type MapReduce,
  mapReduce,
  type ParallelOptions,
  parallel,
  type RetryWorkOptions,
  retry,
  type Stage,
  sequence,
  type Template,
  template,
} from "./agents/workflows/index.js"
export { type Bus, openBus } from "./bus/bus.js"
export type { BusOptions } from "./bus/bus-core.js"
export { type DraftOptions, defineEvent, type EventDefinition, type EventSelection } from "./bus/define-event.js"
export type { CloudEventJson, EventDraft, MurmurEvent, Trust } from "./bus/event.js"
export { toCloudEvent } from "./bus/event.js"
export type { EventStream, ObserveFrom, ObserveOptions } from "./bus/observe.js"
export type { BulkOptions, PublishAck, PublishOptions } from "./bus/publisher.js"
export { MurmurError, RetryableError, TerminalError } from "./errors.js"
export {
  type AgentOverrides,
  type AskModelOptions,
  type AssistantMessage,
  anthropic,
  assistant,
  type Broker,
  type BrokerCall,
  type BrokerCompletion,
  type BrokerEmbeddings,
  type BrokerEmbedRequest,
  type BrokerOptions,
  type BrokerRequest,
  type Completion,
  type CompletionOptions,
  type CompletionRequest,
  createBroker,
  createLlm,
  defineModels,
  type EmbedAnswer,
  type Gateway,
  gemini,
  type ImageSource,
  image,
  type KnownModel,
  type Llm,
  type LlmOptions,
  type Message,
  type Meter,
  type ModelFacts,
  type ModelsDefinition,
  type ModelsOptions,
  type ObjectAnswer,
  type ObjectOptions,
  ollama,
  openai,
  type Price,
  type Prompt,
  type ProviderStatus,
  type RateLimits,
  type ScriptedGateway,
  type ScriptedOptions,
  type ScriptedReply,
  type ScriptedRequest,
  type StreamPart,
  scripted,
  system,
  type TextAnswer,
  type TextOptions,
  type TextPiece,
  type TextStream,
  type ToolCall,
  type ToolSpec,
  text,
  toolResult,
  type Usage,
  user,
} from "./gateways/index.js"
export {
  CiJobCompleted,
  type CiJobCompletedData,
  CiRunCompleted,
  type CiRunCompletedData,
  type CiRunData,
  CiRunRequested,
  CiRunStarted,
  type CodeHostOptions,
  type Conclusion,
  type CronDue,
  type CronSchedule,
  defineSource,
  FileChanged,
  FileCreated,
  type FileData,
  FileDeleted,
  type FilesystemOptions,
  filesystem,
  github,
  gitlab,
  type KrakenOptions,
  kraken,
  MarketFeedFailed,
  MarketTicker,
  MarketTrade,
  nextRuns,
  PullRequestClosed,
  type PullRequestData,
  PullRequestMerged,
  PullRequestOpened,
  PullRequestUpdated,
  type PushedData,
  type ReplayOptions,
  RepoPushed,
  RepoTagPushed,
  type RowInfo,
  replay,
  type ScheduleJob,
  type ScheduleOptions,
  type SourceContext,
  type SourceDefinition,
  type SourceOptions,
  type SourceState,
  schedule,
  type TagPushedData,
  type TickerData,
  type TradeData,
  type WebhookEndpoint,
  type WebhookReply,
  type WebhookRequest,
} from "./sources/index.js"
export { mapGithub } from "./sources/webhooks/github-map.js"
