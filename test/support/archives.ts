import { deflateRawSync, gzipSync } from "node:zlib"

type Files = Readonly<Record<string, string | Buffer>>

/** A `.tar.gz` with these files, by path; a path that ends in "/" is a folder. */
export function makeTarGz(files: Files): Buffer {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const body = Buffer.from(content)
    return [tarHeader(name, body.length), body, Buffer.alloc(-body.length & 511)]
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1_024)]))
}

function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.write("0000755\0", 100)
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124)
  header.write("        ", 148)
  header.write(name.endsWith("/") ? "5" : "0", 156)
  header.write("ustar\x0000", 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return header
}

/**
 * A `.zip` with these files. As streaming writers do it, sizes stand only in the directory at the end.
 *
 * @param options `store` packs nothing; `comment` stands at the very end
 */
export function makeZip(files: Files, options: { store?: boolean; comment?: string } = {}): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, content] of Object.entries(files)) {
    const body = Buffer.from(content)
    const packed = options.store ? body : deflateRawSync(body)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(options.store ? 0 : 8, 10)
    entry.writeUInt32LE(packed.length, 20)
    entry.writeUInt32LE(body.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(at, 42)
    parts.push(local, Buffer.from(name), packed)
    directory.push(entry, Buffer.from(name))
    at += 30 + name.length + packed.length
  }
  const listing = Buffer.concat(directory)
  const comment = Buffer.from(options.comment ?? "")
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Object.keys(files).length, 8)
  end.writeUInt16LE(Object.keys(files).length, 10)
  end.writeUInt32LE(listing.length, 12)
  end.writeUInt32LE(at, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...parts, listing, end, comment])
}
