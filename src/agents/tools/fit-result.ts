import { createHash } from "node:crypto"
import { errorCode } from "../../errors.js"
import type { ArtifactPort } from "./artifact-port.js"

/** How a result is made to fit. */
export interface FitOptions {
  /** How many bytes a model is shown of one result. */
  readonly maxBytes: number
  /** Where the whole of what is cut goes. Without them it is nowhere. */
  readonly artifacts?: Pick<ArtifactPort, "put"> | undefined
  /** Takes secrets out, before anything is cut: half a secret would not be known as one. */
  readonly redact?: ((text: string) => string) | undefined
}

/** What a model is shown of a result. */
export interface FittedResult {
  readonly text: string
  /** Id of the artifact that has the whole, when it was cut. */
  readonly artifact: string | undefined
}

/** Of what is shown, so much is the beginning; the rest is the end, where logs and errors say what became of it. */
const HEAD_SHARE = 0.75

/**
 * What a model is shown of a tool's output: text without secrets, at most so many bytes of it. What is cut is kept as an
 * artifact, which the text names. The same output gives the same text, on each attempt.
 *
 * @throws what putting throws when the bus is away
 */
export async function fitResult(output: unknown, options: FitOptions): Promise<FittedResult> {
  const { maxBytes, artifacts, redact = (same: string) => same } = options
  const text = redact(typeof output === "string" ? output : (JSON.stringify(output) ?? "done"))
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return { text, artifact: undefined }
  const id = createHash("sha256").update(bytes).digest("hex")
  const kept = artifacts !== undefined && (await isKept(artifacts, bytes, typeof output === "string"))
  const headBytes = Math.floor(maxBytes * HEAD_SHARE)
  const head = headOf(bytes, headBytes)
  const tail = tailOf(bytes, maxBytes - headBytes)
  const cut = bytes.length - Buffer.byteLength(head) - Buffer.byteLength(tail)
  const where = kept ? `the whole is artifact ${id}` : "the rest is not kept"
  return {
    text: `${head}\n[${cut} of ${bytes.length} bytes cut here; ${where}]\n${tail}`,
    artifact: kept ? id : undefined,
  }
}

/** What is larger than artifacts may be is kept nowhere: that is the same on each attempt. */
async function isKept(artifacts: Pick<ArtifactPort, "put">, bytes: Uint8Array, isText: boolean): Promise<boolean> {
  try {
    await artifacts.put(bytes, { mediaType: isText ? "text/plain; charset=utf-8" : "application/json" })
    return true
  } catch (error) {
    if (errorCode(error) === "ARTIFACT_TOO_LARGE") return false
    throw error
  }
}

/** The beginning, without half a character at its end. */
function headOf(bytes: Buffer, size: number): string {
  let end = size
  while (end > 0 && isInside(bytes, end)) end--
  return bytes.subarray(0, end).toString()
}

/** The end, without half a character at its beginning. */
function tailOf(bytes: Buffer, size: number): string {
  let start = bytes.length - size
  while (start < bytes.length && isInside(bytes, start)) start++
  return bytes.subarray(start).toString()
}

/** Whether a byte goes on with a character that began before it. */
function isInside(bytes: Buffer, at: number): boolean {
  return ((bytes[at] ?? 0) & 0xc0) === 0x80
}
