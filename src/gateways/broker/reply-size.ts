/** The most that an answer may have as JSON: it must fit into a record of the journal. */
export const JSON_BYTES_MAX = 512 * 1_024

/** A character has at most so many bytes in JSON: those that are written as an escape. */
const BYTES_MAX_A_CHARACTER = 6
/** Names, usage, braces: all that is not the text. */
const FRAME_BYTES = 4_096

/**
 * How many bytes an answer has as JSON, if those are too many.
 *
 * @param characters how many it has in texts, where it has little else: a small answer need not be written out then
 */
export function jsonBytesOver(answer: unknown, characters: number | undefined): number | undefined {
  if (characters !== undefined && characters * BYTES_MAX_A_CHARACTER + FRAME_BYTES <= JSON_BYTES_MAX) return undefined
  const bytes = Buffer.byteLength(JSON.stringify(answer))
  return bytes > JSON_BYTES_MAX ? bytes : undefined
}
