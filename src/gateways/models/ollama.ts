import { able, embedding, usd } from "./facts.js"
import type { ModelFacts } from "./known-model.js"

const FREE = usd(0, 0, 0)

/** Ollama holds any model to a schema (it constrains what may come next). An answer may be as long as the window. */
function local(contextTokens: number, facts: Partial<Pick<ModelFacts, "tools" | "images">>): ModelFacts {
  return { ...able(contextTokens, contextTokens), tools: false, images: false, ...facts, price: FREE }
}

const TOOLS = { tools: true }
const IMAGES = { images: true }
const BOTH = { tools: true, images: true }

/** Of a model of Ollama that is not in the table: its own machine, so its tokens cost nothing. */
export const OLLAMA_UNKNOWN: ModelFacts = local(8_192, TOOLS)

/**
 * Common families of Ollama's library, looked up on 2026-11-21. The windows are those of the models; the server loads a
 * model with less (`num_ctx`) unless a request's `contextTokens` asks for more.
 */
export const OLLAMA: Readonly<Record<string, ModelFacts>> = {
  "llama3.1": local(131_072, TOOLS),
  "llama3.2": local(131_072, TOOLS),
  "llama3.2-vision": local(131_072, IMAGES),
  "llama3.3": local(131_072, TOOLS),
  llama4: local(1_048_576, BOTH),
  "qwen2.5": local(32_768, TOOLS),
  "qwen2.5-coder": local(32_768, TOOLS),
  "qwen2.5vl": local(128_000, IMAGES),
  qwen3: local(40_960, TOOLS),
  "qwen3-coder": local(262_144, TOOLS),
  "qwen3-vl": local(262_144, BOTH),
  gemma2: local(8_192, {}),
  gemma3: local(131_072, IMAGES),
  gemma3n: local(32_768, {}),
  "gpt-oss": local(131_072, TOOLS),
  "deepseek-r1": local(131_072, TOOLS),
  mistral: local(32_768, TOOLS),
  "mistral-nemo": local(131_072, TOOLS),
  "mistral-small": local(32_768, TOOLS),
  "mistral-small3.2": local(131_072, BOTH),
  magistral: local(40_960, TOOLS),
  devstral: local(131_072, TOOLS),
  phi3: local(131_072, {}),
  phi4: local(16_384, {}),
  "phi4-mini": local(131_072, TOOLS),
  "granite3.3": local(131_072, TOOLS),
  "command-r": local(131_072, TOOLS),
  smollm2: local(8_192, TOOLS),
  llava: local(32_768, IMAGES),
  "minicpm-v": local(32_768, IMAGES),
  moondream: local(2_048, IMAGES),
  "nomic-embed-text": { ...embedding(8_192), price: FREE },
  "mxbai-embed-large": { ...embedding(512), price: FREE },
  "all-minilm": { ...embedding(512), price: FREE },
  "bge-m3": { ...embedding(8_192), price: FREE },
  "snowflake-arctic-embed2": { ...embedding(8_192), price: FREE },
  embeddinggemma: { ...embedding(2_048), price: FREE },
  "qwen3-embedding": { ...embedding(40_960), price: FREE },
}
