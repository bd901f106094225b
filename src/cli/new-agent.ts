import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { checkName } from "../bus/subjects.js"
import { isCode } from "../node/loader.js"
import type { Cli } from "./cli.js"
import { modelsFile } from "./models-template.js"
import { writeNewFiles } from "./new-files.js"
import { checkedArgument } from "./usage.js"

/** Options of `murmur new agent`. */
interface NewAgentOptions {
  dir?: string
  mind?: boolean
}

/**
 * `murmur new agent <name>`: one file, ready to run. With `--mind` one whose model decides what it does, and, where nothing
 * says yet which models there are, a file that does.
 */
export async function newAgent({ options, out }: Cli, [name]: [string], { dir = "agents", mind }: NewAgentOptions) {
  checkedArgument(() => checkName(name, "agent"))
  const files = mind ? mindFiles(name, dir) : { [`${name}.ts`]: agentFile(name) }
  const written = await writeNewFiles(dir, files)
  const paths = written.map((path) => join(dir, path))
  if (options.json) return out.json({ created: paths })
  for (const path of paths) await out.line(path)
}

function mindFiles(name: string, dir: string): Record<string, string> {
  const agent = { [`${name}.ts`]: mindFile(name) }
  return [".", dir].some(saysWhichModels) ? agent : { ...agent, "models.ts": modelsFile() }
}

/** Whether a file of this very folder defines the models: a mesh has one that does. */
function saysWhichModels(folder: string): boolean {
  if (!existsSync(folder)) return false
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && isCode(entry.name))
  return files.some(({ name }) => readFileSync(join(folder, name), "utf8").includes("defineModels("))
}

function mindFile(name: string): string {
  const [asked, done] = [`${pascal(name)}Requested`, `${pascal(name)}Completed`]
  return `import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"

/** What it reacts to. Put it into a file of its own when other agents name it too. */
export const ${asked} = defineEvent("${name}.requested", z.object({ subject: z.string(), text: z.string() }), {
  key: (data) => data.subject,
})

/** What comes of it. The model emits it as a tool: descriptions are for the model, and data is checked. */
export const ${done} = defineEvent(
  "${name}.completed",
  z.object({ subject: z.string(), answer: z.string().describe("One sentence") }),
  { key: (data) => data.subject, description: "The answer to a request" },
)

export default defineAgent("${name}", {
  on: [${asked}],
  emits: [${done}],
  instructions: \`
You answer requests about "{{ event.data.subject }}". Emit the answer once.
When you cannot tell, say so in the answer.\`,
})
`
}

function agentFile(name: string): string {
  const [asked, done] = [`${pascal(name)}Requested`, `${pascal(name)}Completed`]
  return `import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"

/** What it reacts to. Put it into a file of its own when other agents name it too. */
export const ${asked} = defineEvent("${name}.requested", z.object({ subject: z.string() }), {
  key: (data) => data.subject,
})

/** What comes of it. */
export const ${done} = defineEvent("${name}.completed", z.object({ subject: z.string() }), {
  key: (data) => data.subject,
})

export default defineAgent("${name}", {
  on: [${asked}],
  emits: [${done}],
  handle(event, ctx) {
    ctx.log.info({ key: event.key }, "handling an event")
    ctx.emit(${done}({ subject: event.data.subject }))
  },
})
`
}

/** A name as an identifier: `ci-triage` becomes `CiTriage`; one that starts with a digit gets an underscore. */
function pascal(name: string): string {
  const words = name.split(/[-_]+/).filter((word) => word !== "")
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")
  return /^\d/.test(joined) ? `_${joined}` : joined
}
