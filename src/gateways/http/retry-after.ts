/** Nobody is held off for longer than this, whatever a header says: 24 hours, in milliseconds. */
export const RETRY_AFTER_MS_MAX = 86_400_000

/**
 * When a provider says to come back, in milliseconds from now: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP
 * date. Never negative, at most {@link RETRY_AFTER_MS_MAX}; `undefined` where it says nothing that can be read.
 */
export function retryAfterMs(headers: Pick<Headers, "get">, nowMs = Date.now()): number | undefined {
  const ms = number(headers.get("retry-after-ms")) ?? inSeconds(headers.get("retry-after"), nowMs)
  return ms === undefined ? undefined : Math.min(Math.max(Math.ceil(ms), 0), RETRY_AFTER_MS_MAX)
}

function inSeconds(text: string | null, nowMs: number): number | undefined {
  const seconds = number(text)
  if (seconds !== undefined) return seconds * 1_000
  const atMs = Date.parse(text ?? "")
  return Number.isNaN(atMs) ? undefined : atMs - nowMs
}

function number(text: string | null): number | undefined {
  return text !== null && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined
}
