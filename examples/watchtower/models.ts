import { defineModels, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Without a key no model is asked: a script knows the logs that come with the example, and says so of any other. */
const script = scripted({
  delayMs: 300,
  replies: [
    {
      when: "ETIMEDOUT",
      reply: {
        object: {
          title: "The package registry did not answer, and the job ran out of time",
          kind: "infrastructure",
          cause: "npm ci could not reach the registry three times, until the time limit of the job was over.",
          evidence: "npm warn retry fetch GET 200 attempt 3 failed with ETIMEDOUT",
          mayPassAgain: true,
        },
      },
    },
    {
      when: "Code style issues",
      reply: {
        object: {
          title: "Two files of the basket are not formatted",
          kind: "code",
          cause: "Basket.tsx and Total.tsx were committed without running Prettier.",
          evidence: "[warn] Code style issues found in 2 files. Run Prettier with --write to fix.",
          mayPassAgain: false,
        },
      },
    },
    {
      when: "basket.test.ts",
      reply: {
        object: {
          title: "A basket loses an article at a restart",
          kind: "test",
          cause: "What is loaded again is not what was saved: one of two articles is missing.",
          evidence: "FAIL test/basket.test.ts > a basket > is the same after a restart",
          mayPassAgain: false,
        },
      },
    },
    {
      reply: {
        object: {
          title: "A run failed, and the script does not know its log",
          kind: "unknown",
          cause: "Set OPENAI_API_KEY or OLLAMA_HOST, and a model reads it.",
          evidence: "-",
          mayPassAgain: false,
        },
      },
    },
  ],
})

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
