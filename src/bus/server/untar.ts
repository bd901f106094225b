import { gunzipSync } from "node:zlib"

const BLOCK = 512

/** More than any server unpacks to; a bound on what a wrong archive could make us hold. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024

/**
 * The content of the one regular file with this base name in a `.tar.gz`.
 *
 * @throws Error when the archive is cut off or has no such file
 */
export function fileFromTarGz(archive: Buffer, baseName: string): Buffer {
  const tar = gunzipSync(archive, { maxOutputLength: UNPACKED_BYTES_MAX })
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + BLOCK)
    const name = text(header, 0, 100)
    if (name === "") break // Two empty blocks end an archive.
    const size = Number.parseInt(text(header, 124, 12), 8)
    const start = at + BLOCK
    if (!Number.isSafeInteger(size) || size < 0 || start + size > tar.length) throw new Error("the archive is cut off")
    const regular = header[156] === 0x30 || header[156] === 0
    if (regular && name.split("/").pop() === baseName) return tar.subarray(start, start + size)
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
  throw new Error(`the archive has no file "${baseName}"`)
}

/** A field of a header: up to its first zero byte. */
function text(header: Buffer, at: number, length: number): string {
  const field = header.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.toString("utf8", 0, end < 0 ? length : end).trim()
}
