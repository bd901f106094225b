import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { lstat, mkdir, open, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { errorCode } from "../../errors.js"
import { defineTool } from "../tools/define-tool.js"
import type { Tool } from "../tools/tool.js"
import { Jail } from "./jail.js"
import { type BuiltinOptions, checkCount, checkKnown, common, refused } from "./options.js"

/** Options of {@link writeFile}. */
export interface WriteFileOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** The folder that it may write in, and its folders. Relative to where the process was started; it has to be there. */
  readonly root: string
  /** How large a file may be, in bytes. Default 1 MiB. */
  readonly maxBytes?: number
}

/** What was written. */
export interface WrittenFile {
  readonly path: string
  /** In bytes. */
  readonly size: number
}

const Input = z.object({
  path: z.string().describe("Relative to the root. Folders are made"),
  content: z.string(),
  encoding: z.enum(["utf8", "base64"]).optional().describe("Of the content. Default utf8"),
})

const MIB = 1024 ** 2
const { O_NOFOLLOW = 0, O_CREAT, O_EXCL, O_WRONLY } = constants

/**
 * A tool that writes files in one folder, and none outside of it. A file is there whole or not at all, and what it replaces
 * is replaced at once; a link is not written through.
 *
 * @throws MurmurError `TOOL_OPTION`
 * @example
 * const writeReport = writeFile({ root: "reports" })
 */
export function writeFile<const Name extends string = "writeFile">(
  options: WriteFileOptions<Name>,
): Tool<NoInfer<Name>, z.input<typeof Input>, WrittenFile> {
  checkKnown("writeFile", options, ["root", "maxBytes"])
  const { name = "writeFile" as Name, maxBytes: most = MIB } = options
  const jail = Jail.of(name, options.root)
  const maxBytes = checkCount(name, "maxBytes", most, 1, 64 * MIB)
  return defineTool({
    name,
    description: options.description ?? `Writes a file, of at most ${maxBytes} bytes; replaces what is there`,
    input: Input,
    effect: "idempotent",
    ...common(options),
    run: async ({ path, content, encoding }): Promise<WrittenFile> => {
      const bytes = Buffer.from(content, encoding ?? "utf8")
      if (bytes.length > maxBytes) throw refused(name, `${bytes.length} bytes, and a file may have ${maxBytes}`)
      await makeFolders(jail, path)
      await place(jail, path, bytes)
      return { path, size: bytes.length }
    },
  })
}

/** One by one, each checked before the next is made in it. */
async function makeFolders(jail: Jail, path: string): Promise<void> {
  for (const inner of jail.foldersOf(path)) {
    const { folder, name } = await jail.placeOf(inner)
    await jail.attempt(path, () => mkdir(join(folder, name)).catch(unless("EEXIST")))
  }
}

/** Written beside its place, and then moved there at once. */
async function place(jail: Jail, path: string, bytes: Buffer): Promise<void> {
  const { folder, name } = await jail.placeOf(path)
  const target = join(folder, name)
  const before = await jail.attempt(path, () => lstat(target).catch(unless("ENOENT")))
  if (before !== undefined && !before.isFile()) throw jail.refused(path, "there is something that is no file")
  const beside = join(folder, `.${randomBytes(9).toString("hex")}.tmp`)
  await jail.attempt(path, async () => {
    try {
      const file = await open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, before?.mode ?? 0o644)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      const now = await jail.placeOf(path)
      if (now.folder !== folder) throw jail.refused(path, "its folder was replaced while it was written")
      await rename(beside, target)
    } finally {
      await rm(beside, { force: true })
    }
  })
}

/** Lets an error of one kind pass as nothing. */
function unless(code: string): (error: unknown) => undefined {
  return (error) => {
    if (errorCode(error) !== code) throw error
  }
}
