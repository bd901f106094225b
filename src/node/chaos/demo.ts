/** Names of the demonstration's mesh, for those who publish, run and check. */
export const DEMO = {
  mesh: "murmur",
  agent: "clerk",
  asked: "demo.question.asked",
  answered: "demo.question.answered",
  /** What a step pays for, in its order. */
  calls: ["draft", "review"],
} as const

/** What a customer asks. */
export interface Question {
  readonly customer: string
  readonly n: number
}

/** What is answered. */
export interface Answer {
  readonly n: number
  /** How many of the customer's questions were answered, with this one. */
  readonly count: number
  readonly text: string
}
