import { z } from "zod"
import type { ArtifactInfo } from "../tools/artifact-port.js"
import { defineTool } from "../tools/define-tool.js"
import { inNode } from "../tools/in-node.js"
import { nodeServices } from "../tools/node-services.js"
import type { Tool } from "../tools/tool.js"
import { infoOf, told } from "./artifact-told.js"
import { type BuiltinOptions, checkKnown, common } from "./options.js"

const Input = z.object({
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
): Tool<NoInfer<Name>, z.input<typeof Input>, ArtifactInfo> {
  checkKnown("putArtifact", options, [])
  const { name: tool = "putArtifact" as Name } = options
  return inNode(
    defineTool({
      name: tool,
      description: options.description ?? "Keeps a long text or a file for later and for others; returns its id",
      input: Input,
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
