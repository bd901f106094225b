import { TerminalError } from "../../errors.js"
import { redactAll } from "../llm/redact-all.js"
import type { ArtifactPort } from "./artifact-port.js"

/** More bytes than this are too many for a record of a journal. */
const RECORD_BYTES_MAX = 256 * 1024
const ARTIFACT = "murmur.artifact"

/**
 * Outputs that are too large for a journal: it holds a reference, and an artifact the output. Without artifacts everything
 * goes into the journal, which refuses what is too large.
 */
export class LargeOutputs {
  /** By id: what this attempt has kept it need not get back. */
  readonly #kept = new Map<string, unknown>()

  /** @param redact takes secrets out of what is kept */
  constructor(
    private readonly artifacts: ArtifactPort | undefined,
    private readonly redact: (text: string) => string,
  ) {}

  /** What the journal is given. */
  async keep(returned: unknown): Promise<unknown> {
    if (this.artifacts === undefined) return returned
    const output = redactAll(returned, this.redact)
    const bytes = Buffer.from(JSON.stringify(output) ?? "null")
    if (bytes.length <= RECORD_BYTES_MAX && referenceIn(output) === undefined) return output
    const { id } = await this.artifacts.put(bytes, { mediaType: "application/json" })
    this.#kept.set(id, output)
    return { [ARTIFACT]: id }
  }

  /** What the tool has returned, by what the journal holds. @throws TerminalError `TOOL_OUTPUT_GONE` */
  async whole(recorded: unknown): Promise<unknown> {
    const id = this.artifacts === undefined ? undefined : referenceIn(recorded)
    if (id === undefined) return recorded
    if (this.#kept.has(id)) return this.#kept.get(id)
    const artifact = await this.artifacts?.get(id)
    if (artifact !== undefined) return JSON.parse(Buffer.from(artifact.bytes).toString())
    throw new TerminalError(`The output of a tool is gone: it was kept as artifact ${id}, and there is none any more`, {
      code: "TOOL_OUTPUT_GONE",
      details: { artifact: id },
    })
  }
}

/** A tool's own output that looks like a reference is kept as well, so that every reference is one of ours. */
function referenceIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !(ARTIFACT in value)) return undefined
  const id = value[ARTIFACT]
  return typeof id === "string" ? id : ""
}
