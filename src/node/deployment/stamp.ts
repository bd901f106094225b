import { z } from "zod"
import { MurmurError } from "../../errors.js"
import { VERSION } from "../version.js"

/**
 * The form in which a mesh keeps what it has: subjects, streams, records. It grows by one when an older murmur could not work
 * with it any more.
 */
export const MESH_FORMAT = 1

/** The settings' key of who has deployed a mesh. */
export const STAMP_KEY = "deployment"

/** Who has deployed a mesh, and in which form. */
const Stamp = z.object({
  format: z.int(),
  /** Of murmur. */
  version: z.string(),
  at: z.string(),
})
export type Stamp = z.infer<typeof Stamp>

/** The stamp of this murmur. */
export function stampOfThis(): Stamp {
  return { format: MESH_FORMAT, version: VERSION, at: new Date().toISOString() }
}

/** Reads a stamp; `undefined` for a mesh that has none. */
export function readStamp(value: unknown): Stamp | undefined {
  return Stamp.safeParse(value).data
}

/**
 * Refuses to work on a mesh whose form is newer than what this murmur knows.
 *
 * @param value of the setting {@link STAMP_KEY}
 * @throws MurmurError `MESH_TOO_NEW` with both versions
 */
export function checkStamp(mesh: string, value: unknown): void {
  const stamp = readStamp(value)
  if (stamp === undefined || stamp.format <= MESH_FORMAT) return
  throw new MurmurError(
    `Cannot work on mesh "${mesh}": murmur ${stamp.version} has deployed it in format ${stamp.format}, and this murmur ${VERSION} knows formats up to ${MESH_FORMAT}. Run murmur ${stamp.version} or newer here`,
    { code: "MESH_TOO_NEW", details: { mesh, found: stamp.format, known: MESH_FORMAT, deployedBy: stamp.version } },
  )
}
