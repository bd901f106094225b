import { z } from "zod"
import { isMurmurError, TerminalError } from "../../errors.js"
import type { ArtifactInfo } from "../tools/artifact-port.js"
import { defineTool } from "../tools/define-tool.js"
import { inNode } from "../tools/in-node.js"
import { nodeServices } from "../tools/node-services.js"
import type { Tool } from "../tools/tool.js"
import { textOf } from "./body-text.js"
import { type BuiltinOptions, checkCount, checkKnown, common } from "./options.js"

const PutInput = z.object({
  content: z.string(),
  encoding: z.enum(["utf8", "base64"]).optional().describe("Of the content. Default utf8"),
  name: z.string().min(1).max(200).optional().describe("For people: a file name, a title"),
  mediaType: z.string().optional().describe("Default text/plain; charset=utf-8, or application/octet-stream"),
})

/**
 * A tool that keeps what is too long for a message or an event, and returns the id under which everybody in the mesh gets
 * it. The same content has the same id.
 *
 * @throws MurmurError `TOOL_OPTION`
 */
export function putArtifact<const Name extends string = "putArtifact">(
  options: BuiltinOptions<Name> = {},
): Tool<NoInfer<Name>, z.input<typeof PutInput>, ArtifactInfo> {
  checkKnown("putArtifact", options, [])
  const { name: tool = "putArtifact" as Name } = options
  return inNode(
    defineTool({
      name: tool,
      description: options.description ?? "Keeps a long text or a file for later and for others; returns its id",
      input: PutInput,
      effect: "idempotent",
      ...common(options),
      run: async ({ content, encoding = "utf8", name, mediaType }, ctx): Promise<ArtifactInfo> => {
        const { artifacts } = nodeServices(tool, ctx)
        const usual = encoding === "utf8" ? "text/plain; charset=utf-8" : "application/octet-stream"
        const putting = artifacts.put(Buffer.from(content, encoding), { name, mediaType: mediaType ?? usual })
        return infoOf(await putting.catch((error: unknown) => Promise.reject(told(error))))
      },
    }),
  )
}

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

const GetInput = z.object({
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
): Tool<NoInfer<Name>, z.input<typeof GetInput>, ArtifactText> {
  checkKnown("getArtifact", options, ["maxBytes", "private", "untrusted"])
  const { name: tool = "getArtifact" as Name } = options
  const maxBytes = checkCount(tool, "maxBytes", options.maxBytes ?? 65_536, 1, 16 * 1024 ** 2)
  return inNode(
    defineTool({
      name: tool,
      description: options.description ?? `Reads an artifact, at most ${maxBytes} bytes of it at a time`,
      input: GetInput,
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

function infoOf({ id, size, mediaType, name }: ArtifactInfo): ArtifactInfo {
  return { id, size, mediaType, name }
}

/** Errors that another call can do something about are told as such. */
function told(error: unknown): unknown {
  if (!isMurmurError(error) || !/^ARTIFACTS?_/.test(error.code)) return error
  return new TerminalError(error.message, { code: "TOOL_ARTIFACT", cause: error })
}
