import { inflateRawSync } from "node:zlib"

const END = 0x06054b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
const STORED = 0
const DEFLATED = 8
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024

/**
 * The content of the one file with this base name in a `.zip`. It reads the directory at the archive's end, as sizes in
 * local headers may be missing.
 *
 * @throws Error when the archive is cut off, packed in an unknown way, or has no such file
 */
export function fileFromZip(archive: Buffer, baseName: string): Buffer {
  const end = endRecord(archive)
  const count = archive.readUInt16LE(end + 10)
  let at = archive.readUInt32LE(end + 16)
  for (let i = 0; i < count; i++) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== ENTRY) throw new Error("the archive is cut off")
    const nameLength = archive.readUInt16LE(at + 28)
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength)
    if (name.split("/").pop() === baseName) return content(archive, at)
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
  }
  throw new Error(`the archive has no file "${baseName}"`)
}

/** The end record stands within the last 64 KiB, behind it at most a comment. */
function endRecord(archive: Buffer): number {
  const first = Math.max(0, archive.length - 22 - 0xffff)
  for (let at = archive.length - 22; at >= first; at--) {
    if (archive.readUInt32LE(at) === END) return at
  }
  throw new Error("the archive is cut off")
}

function content(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10)
  const packed = archive.readUInt32LE(entry + 20)
  const local = archive.readUInt32LE(entry + 42)
  if (local + 30 > archive.length || archive.readUInt32LE(local) !== LOCAL) throw new Error("the archive is cut off")
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
  if (start + packed > archive.length) throw new Error("the archive is cut off")
  const bytes = archive.subarray(start, start + packed)
  if (method === STORED) return bytes
  if (method === DEFLATED) return inflateRawSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX })
  throw new Error(`the archive is packed by method ${method}, which is not known here`)
}
