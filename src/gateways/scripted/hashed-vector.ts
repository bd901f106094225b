import { createHash } from "node:crypto"

/**
 * A vector of a text, the same on every machine: each word, and each of its runs of three letters, is hashed to a place and
 * a sign. Texts that share words lie near each other, which is all that a demonstration of memory needs. Its length is 1,
 * but for a text without words, which is 0 everywhere.
 */
export function hashedVector(text: string, dimensions: number): number[] {
  const vector = new Array<number>(dimensions).fill(0)
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    add(vector, word, 1)
    for (let start = 0; start + 3 < word.length; start += 1) add(vector, `~${word.slice(start, start + 3)}`, 0.3)
  }
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

function add(vector: number[], feature: string, weight: number): void {
  const hash = createHash("sha256").update(feature).digest()
  const place = hash.readUInt32LE(0) % vector.length
  vector[place] = (vector[place] ?? 0) + (hash.readUInt8(4) % 2 === 0 ? weight : -weight)
}
