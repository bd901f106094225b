/** Says what an agent's model is asked in a new project: for an object of this schema. */
export interface ScriptedObject {
  /** The name under which the object is asked for. */
  readonly schema: string
  /** Code of a function of the request that makes the object. */
  readonly make: string
}

/**
 * The file that says which models a new mesh has: a real one where the environment has a key for it, else a script, so that
 * everything runs offline. The script serves agents with instructions, and those that ask for the given objects.
 */
export function modelsFile(objects: readonly ScriptedObject[] = []): string {
  const rules = objects.map(({ schema, make }) => `    { schema: "${schema}", reply: ${make} },\n`).join("")
  return `import { defineModels, type ScriptedRequest, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** Stands in for a model where there is no key: the same answers each time, no network, no cost. */
const script = scripted({
  replies: [
${rules}    { reply: emitOnce },
  ],
})

/** What an agent with instructions does here: it emits its event once, with the data that it was given. */
function emitOnce({ tools = [], data, turn }: ScriptedRequest) {
  const emit = tools.find(({ name }) => name.startsWith("emit_"))
  if (emit === undefined || turn > 0) return "Done."
  const answer = "A script has no answer of its own."
  return { toolCalls: [{ name: emit.name, arguments: { ...(data as object), answer } }] }
}

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
`
}
