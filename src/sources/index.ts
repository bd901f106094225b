export { FileChanged, FileCreated, FileData, FileDeleted } from "./filesystem/events.js"
export { type FilesystemOptions, filesystem } from "./filesystem.js"
export {
  MarketFeedFailed,
  MarketTicker,
  MarketTrade,
  TickerData,
  TradeData,
} from "./market/events.js"
export { kraken } from "./market/kraken.js"
export type { KrakenOptions } from "./market/kraken-options.js"
export type { ReplayOptions, RowInfo } from "./replay/options.js"
export { replay } from "./replay.js"
export { nextRuns, type ScheduleJob, type ScheduleOptions, schedule } from "./schedule.js"
export {
  type CronDue,
  type CronSchedule,
  defineSource,
  type SourceContext,
  type SourceDefinition,
  type SourceOptions,
  type SourceState,
  type WebhookEndpoint,
  type WebhookReply,
  type WebhookRequest,
} from "./source.js"
export type { CodeHostOptions } from "./webhooks/endpoint.js"
export {
  CiJobCompleted,
  CiJobCompletedData,
  CiRunCompleted,
  CiRunCompletedData,
  CiRunData,
  CiRunRequested,
  CiRunStarted,
  Conclusion,
  PullRequestClosed,
  PullRequestData,
  PullRequestMerged,
  PullRequestOpened,
  PullRequestUpdated,
  PushedData,
  RepoPushed,
  RepoTagPushed,
  TagPushedData,
} from "./webhooks/events.js"
export { github } from "./webhooks/github.js"
export { gitlab } from "./webhooks/gitlab.js"
