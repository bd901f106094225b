import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import { optionError } from "../options.js"

const SHA256_BYTES = 32
const SIGNATURE = /^sha256=([0-9a-fA-F]{64})$/

/**
 * The secrets of a webhook: those given, else those of the environment variable, comma-separated while one is rotated.
 *
 * @throws MurmurError `SOURCE_OPTION` when a given secret is empty
 */
export function readSecrets(source: string, given: readonly string[] | undefined, variable: string): string[] {
  if (given !== undefined) {
    if (!Array.isArray(given) || given.some((secret) => typeof secret !== "string" || secret === "")) {
      throw optionError(source, "secrets must be a list of texts that are not empty")
    }
    return [...given]
  }
  const value = process.env[variable] ?? ""
  return value
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "")
}

/**
 * Whether `signature` (`sha256=<hex>`) is the HMAC-SHA256 of the raw bytes under any of the secrets. A missing or malformed
 * one takes the same way as a wrong one, and all secrets are tried whichever fits, so that time tells nothing.
 */
export function verifySignature(secrets: readonly string[], body: Uint8Array, signature: string | null): boolean {
  const hex = SIGNATURE.exec(signature ?? "")?.[1]
  const given = hex === undefined ? Buffer.alloc(SHA256_BYTES) : Buffer.from(hex, "hex")
  let valid = false
  for (const secret of secrets) {
    const equal = timingSafeEqual(createHmac("sha256", secret).update(body).digest(), given)
    valid = (equal && hex !== undefined) || valid
  }
  return valid
}

/** Whether `token` is one of the secrets. Both sides are hashed first, so that neither length nor content shows in the time. */
export function verifyToken(secrets: readonly string[], token: string | null): boolean {
  const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest()
  const given = sha256(token ?? "")
  let valid = false
  for (const secret of secrets) valid = (timingSafeEqual(sha256(secret), given) && token !== null) || valid
  return valid
}
