import { z } from "zod"
import { defineTool } from "../tools/define-tool.js"
import type { Tool } from "../tools/tool.js"
import { textOf } from "./body-text.js"
import { Jail } from "./jail.js"
import { type BuiltinOptions, checkCount, checkKnown, common } from "./options.js"

/** Options of {@link readFile}. */
export interface ReadFileOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** The folder that it may read, with all that is in it. Relative to where the process was started. */
  readonly root: string
  /** How much of a file is read by one call, in bytes. Default 256 KiB. */
  readonly maxBytes?: number
  /** Whether what is in the folder must not leave. Default true. */
  readonly private?: boolean
  /** Whether outsiders write what is in the folder: a checkout, a log, an upload. Default true. */
  readonly untrusted?: boolean
}

/** A file, or a part of it. */
export interface FileText {
  readonly content: string
  /** `base64` for what is no text. */
  readonly encoding: "utf8" | "base64"
  /** Of the whole file, in bytes. */
  readonly size: number
  /** Whether the file goes on after what was read. */
  readonly truncated: boolean
}

const Input = z.object({
  path: z.string().describe("Relative to the root"),
  offset: z.int().min(0).optional().describe("Where to begin, in bytes. Default 0"),
})

const MIB = 1024 ** 2

/**
 * A tool that reads files of one folder, and none outside of it: not by `..`, not by an absolute path, not by a link.
 *
 * @throws MurmurError `TOOL_OPTION`
 * @example
 * const readDocs = readFile({ root: "docs", private: false, untrusted: false })
 */
export function readFile<const Name extends string = "readFile">(
  options: ReadFileOptions<Name>,
): Tool<NoInfer<Name>, z.input<typeof Input>, FileText> {
  checkKnown("readFile", options, ["root", "maxBytes", "private", "untrusted"])
  const { name = "readFile" as Name, maxBytes: most = MIB / 4 } = options
  const jail = Jail.of(name, options.root)
  const maxBytes = checkCount(name, "maxBytes", most, 1, 64 * MIB)
  return defineTool({
    name,
    description: options.description ?? `Reads a file, at most ${maxBytes} bytes of it at a time`,
    input: Input,
    effect: "read",
    private: options.private ?? true,
    untrusted: options.untrusted ?? true,
    ...common(options),
    run: async ({ path, offset = 0 }): Promise<FileText> => {
      const { file, stats } = await jail.openFile(path)
      try {
        const buffer = Buffer.alloc(Math.max(0, Math.min(maxBytes, stats.size - offset)))
        const { bytesRead } = await jail.attempt(path, () => file.read(buffer, 0, buffer.length, offset))
        const truncated = offset + bytesRead < stats.size
        const { body: content, encoding } = textOf(buffer.subarray(0, bytesRead), undefined, truncated)
        return { content, encoding, size: stats.size, truncated }
      } finally {
        await file.close()
      }
    },
  })
}
