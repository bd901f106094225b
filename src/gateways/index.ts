export { anthropic } from "./anthropic/anthropic.js"
export type {
  Broker,
  BrokerCall,
  BrokerCompletion,
  BrokerEmbeddings,
  BrokerEmbedRequest,
  BrokerRequest,
  Meter,
  ProviderStatus,
} from "./broker/broker.js"
export { createBroker } from "./broker/create-broker.js"
export type { BrokerOptions } from "./broker/options.js"
export type { RateLimits } from "./broker/ports.js"
export type { Completion, CompletionOptions, CompletionRequest, StreamPart, ToolSpec, Usage } from "./completion.js"
export { type AgentOverrides, defineModels, type ModelsDefinition, type ModelsOptions } from "./define-models.js"
export type { Gateway } from "./gateway.js"
export { gemini } from "./gemini/gemini.js"
export { createLlm, type LlmOptions } from "./llm/create-llm.js"
export type {
  AskModelOptions,
  EmbedAnswer,
  Llm,
  ObjectAnswer,
  ObjectOptions,
  Prompt,
  TextAnswer,
  TextOptions,
  TextPiece,
  TextStream,
} from "./llm/llm.js"
export { assistant, image, system, text, toolResult, user } from "./messages/constructors.js"
export type { AssistantMessage, ImageSource, Message, ToolCall } from "./messages/message.js"
export type { KnownModel, ModelFacts, Price } from "./models/known-model.js"
export { ollama } from "./ollama/ollama.js"
export { openai } from "./openai/openai.js"
export type { ScriptedReply, ScriptedRequest } from "./scripted/script.js"
export { type ScriptedGateway, type ScriptedOptions, scripted } from "./scripted/scripted.js"
