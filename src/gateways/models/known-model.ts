/** What a million tokens cost, in US dollars. */
export interface Price {
  readonly inputUsd: number
  readonly outputUsd: number
  /** Input that the provider had in its cache. Default: as other input. */
  readonly cachedInputUsd?: number
}

/** What is known of a model. Whoever runs murmur may say otherwise, model by model. */
export interface ModelFacts {
  /** Whether it can call tools. */
  readonly tools: boolean
  /** Whether it can see images. */
  readonly images: boolean
  /** Whether its provider holds it to a JSON schema. */
  readonly schema: boolean
  /** How many tokens fit into a request, the answer included. */
  readonly contextTokens: number
  /** How many tokens an answer can have. */
  readonly outputTokens: number
  /** `undefined` where nobody has said it. 0 for a machine of one's own. */
  readonly price: Price | undefined
}

/** A model by its full name. */
export interface KnownModel extends ModelFacts {
  /** `openai/gpt-5-mini`. */
  readonly name: string
  readonly provider: string
  /** As the provider names it. */
  readonly model: string
}
