import { z } from "zod"
import { TerminalError } from "../../errors.js"
import type { ArtifactInfo } from "../tools/artifact-port.js"
import { defineTool } from "../tools/define-tool.js"
import { inNode } from "../tools/in-node.js"
import { nodeServices } from "../tools/node-services.js"
import type { Tool } from "../tools/tool.js"
import { infoOf, told } from "./artifact-told.js"
import { textOf } from "./body-text.js"
import { type BuiltinOptions, checkCount, checkKnown, common } from "./options.js"

/** Options of {@link getArtifact}. */
export interface GetArtifactOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** How much is read by one call, in bytes. Default 64 KiB. */
  readonly maxBytes?: number
  /** Whether what is kept there must not leave. Default true. */
  readonly private?: boolean
  /** Whether outsiders have written what is kept there. Default true. */
  readonly untrusted?: boolean
}

/** An artifact, or a part of it. */
export interface ArtifactText extends ArtifactInfo {
  readonly content: string
  /** `base64` for what is no text. */
  readonly encoding: "utf8" | "base64"
  /** Whether it goes on after what was read. */
  readonly truncated: boolean
}

const Input = z.object({
  id: z.string(),
  offset: z.int().min(0).optional().describe("Where to begin, in bytes. Default 0"),
})

/**
 * A tool that reads an artifact by its id: what `putArtifact` has kept, or the whole of a result that was cut.
 *
 * @throws MurmurError `TOOL_OPTION`
 */
export function getArtifact<const Name extends string = "getArtifact">(
  options: GetArtifactOptions<Name> = {},
): Tool<NoInfer<Name>, z.input<typeof Input>, ArtifactText> {
  checkKnown("getArtifact", options, ["maxBytes", "private", "untrusted"])
  const { name: tool = "getArtifact" as Name } = options
  const maxBytes = checkCount(tool, "maxBytes", options.maxBytes ?? 65_536, 1, 16 * 1024 ** 2)
  return inNode(
    defineTool({
      name: tool,
      description: options.description ?? `Reads an artifact, at most ${maxBytes} bytes of it at a time`,
      input: Input,
      effect: "read",
      private: options.private ?? true,
      untrusted: options.untrusted ?? true,
      ...common(options),
      run: async ({ id, offset = 0 }, ctx): Promise<ArtifactText> => {
        const { artifacts } = nodeServices(tool, ctx)
        const found = await artifacts.get(id).catch((error: unknown) => Promise.reject(told(error)))
        if (found === undefined) throw new TerminalError(`There is no artifact ${id}`, { code: "TOOL_ARTIFACT" })
        const end = Math.min(found.size, offset + maxBytes)
        const truncated = end < found.size
        const { body, encoding } = textOf(found.bytes.subarray(offset, end), found.mediaType, truncated)
        return { ...infoOf(found), content: body, encoding, truncated }
      },
    }),
  )
}
