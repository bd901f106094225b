import { createHash } from "node:crypto"

/** Makes a text fit for people's eyes: the secrets in it are replaced. */
export type Hide = (text: string) => string

const SECRET_LENGTH_MIN = 6

/**
 * Hides secrets wherever a provider repeats them: as they are, URL-encoded, in base64. What is shorter than 6 characters
 * is no secret, and would tear holes into every text.
 */
export function hiding(secrets: readonly (string | undefined)[]): Hide {
  const known = secrets.filter((secret): secret is string => (secret?.length ?? 0) >= SECRET_LENGTH_MIN)
  const shapes = new Set(known.flatMap((secret) => [secret, encodeURIComponent(secret), ...inBase64(secret)]))
  const longestFirst = [...shapes].sort((a, b) => b.length - a.length)
  return (text) => longestFirst.reduce((hidden, shape) => hidden.replaceAll(shape, "[hidden]"), text)
}

function inBase64(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const padded = bytes.toString("base64")
  return [padded, padded.replace(/=+$/, ""), bytes.toString("base64url")]
}

/** Stands for the account that pays: the same key at the same address gives the same name, which tells neither. */
export function accountOf(key: string | undefined, address: string): string {
  return createHash("sha256")
    .update(JSON.stringify([key ?? "", address]))
    .digest("hex")
    .slice(0, 12)
}

/** What of the headers that a user has set nobody is to see. */
export function secretHeaders(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (!/auth|key|token|secret|cookie/i.test(name)) return []
    // `Bearer x`: the second word is the secret, and may be repeated without the first.
    return [value, value.replace(/^\w+\s+/, "")]
  })
}
