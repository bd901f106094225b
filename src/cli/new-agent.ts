import { join } from "node:path"
import { checkName } from "../bus/subjects.js"
import type { Cli } from "./cli.js"
import { writeNewFiles } from "./new-files.js"
import { checkedArgument } from "./usage.js"

/** `murmur new agent <name>`: one file, ready to run. */
export async function newAgent({ options, out }: Cli, [name]: [string], { dir = "agents" }: { dir?: string }) {
  checkedArgument(() => checkName(name, "agent"))
  const written = await writeNewFiles(dir, { [`${name}.ts`]: agentFile(name) })
  const paths = written.map((path) => join(dir, path))
  if (options.json) return out.json({ created: paths })
  for (const path of paths) await out.line(path)
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
