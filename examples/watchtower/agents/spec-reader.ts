import { createHash } from "node:crypto"
import { open, realpath } from "node:fs/promises"
import { basename, join, sep } from "node:path"
import { defineAgent, FileChanged, FileCreated, type FileData, FileDeleted, TerminalError } from "murmur"
import { type Spec, SpecRead } from "../events.js"
import { DRAFTS, SPECS } from "../folders.js"

const BYTES_MAX = 256 * 1024
const isSpec = ({ data }: { data: FileData }): boolean => data.path.endsWith(".md")

/**
 * Reads a spec whose file changed and says what is in it. One event, one step: when it throws, the step is tried again,
 * and after the last attempt the event is in the dead letters with the reason.
 */
export default defineAgent("spec-reader", {
  description: "Reads specs whose file changed",
  on: [FileCreated.where(isSpec), FileChanged.where(isSpec), FileDeleted.where(isSpec)],
  emits: [SpecRead],
  async handle({ data }, ctx) {
    const root = await allowedRoot(data.root)
    const spec = `${basename(root)}/${data.path}`
    ctx.emit(SpecRead({ spec, ...outline(await readInside(root, data.path)) }))
  },
})

/**
 * The path comes with an event, and anybody who may publish can publish one: it is data, not an order. Only known
 * folders are read, and nothing that lies outside of them once links are followed.
 */
async function allowedRoot(wanted: string): Promise<string> {
  for (const folder of [SPECS, DRAFTS]) {
    const root = await realpath(folder).catch(() => undefined)
    if (root !== undefined && root === wanted) return root
  }
  // Trying again cannot help: straight to the dead letters.
  throw new TerminalError(`Cannot read specs in "${wanted}": it is none of the folders of this example`, {
    code: "SPEC_FOLDER",
  })
}

/** The text of a file; `undefined` when it is gone, which may well be by the time its event is handled. */
async function readInside(root: string, path: string): Promise<string | undefined> {
  const real = await realpath(join(root, path)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error
  })
  if (real === undefined) return undefined
  if (!real.startsWith(root + sep)) {
    throw new TerminalError(`Cannot read "${path}": it leads out of ${root}`, { code: "SPEC_PATH" })
  }
  const file = await open(real)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BYTES_MAX), 0, BYTES_MAX, 0)
    return buffer.toString("utf8", 0, bytesRead)
  } finally {
    await file.close()
  }
}

function outline(text: string | undefined): Omit<Spec, "spec"> {
  if (text === undefined) return { requirements: {}, openQuestions: 0 }
  const items = [...text.matchAll(/^- (R-\d+): (.*)$/gm)].map(([, id = "", what = ""]) => [id, what.trim()])
  return {
    requirements: Object.fromEntries(items),
    openQuestions: [...text.matchAll(/^- \[ \] /gm)].length,
    sha256: createHash("sha256").update(text).digest("hex"),
  }
}
