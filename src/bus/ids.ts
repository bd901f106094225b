import { hash, randomFillSync } from "node:crypto"

const pool = Buffer.allocUnsafe(16 * 256)
let poolAt = pool.length

/** A fresh UUIDv7: unique, and sorted by the time it was made. */
export function freshId(now = Date.now()): string {
  if (poolAt === pool.length) {
    randomFillSync(pool)
    poolAt = 0
  }
  const bytes = pool.subarray(poolAt, poolAt + 16)
  poolAt += 16
  bytes.writeUIntBE(now, 0, 6)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = bytes.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/**
 * An id derived from what it stands for: the same parts give the same id in every process, so that work done twice is
 * stored once. 128 bits, as 22 characters. Parts are length-prefixed, so no two lists of parts can be confused.
 */
export function derivedId(...parts: readonly (string | number)[]): string {
  let text = ""
  for (const part of parts) {
    const value = String(part)
    text += `${value.length}:${value}`
  }
  return hash("sha256", text, "base64url").slice(0, 22)
}
