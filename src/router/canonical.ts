import { createHash } from "node:crypto"

/** JSON with sorted names: equal values give equal text, whatever order they were written in. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, item: unknown) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

const HASH_LENGTH = 10

/** A short, stable name for a JSON value: 40 bits of its SHA-256, in hexadecimal. */
export function shortHash(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, HASH_LENGTH)
}
