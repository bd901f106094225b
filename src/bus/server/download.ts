import { createHash } from "node:crypto"
import type { OnProgress } from "./progress.js"

/** More than any archive that we fetch; a host that sends more is not the one we meant. */
const BYTES_MAX = 64 * 1024 * 1024

/** Progress is for eyes: no more often than this. */
const PROGRESS_EVERY_MS = 100

/** Bounds of one download. */
export interface DownloadLimits {
  /** Until the response's headers are there, redirects included, in milliseconds. Short, so that the next way gets its turn. */
  readonly answerMs: number
  /** Between two pieces of the body, in milliseconds. */
  readonly idleMs: number
}

export const DOWNLOAD_LIMITS: DownloadLimits = { answerMs: 5_000, idleMs: 20_000 }

export interface DownloadOptions {
  /** Lower-case hex. What arrives must have it. */
  readonly sha256: string
  readonly limits?: DownloadLimits
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Fetches a file into memory and checks its digest. Proxies apply as they do to Node's `fetch`.
 *
 * @throws Error with the reason in plain words; the reason of `signal` when that is what ended it
 */
export async function download(url: string, options: DownloadOptions): Promise<Buffer> {
  const { sha256, limits = DOWNLOAD_LIMITS, signal, onProgress } = options
  signal?.throwIfAborted()
  const watch = new Watch(signal)
  try {
    watch.expect(limits.answerMs, `no answer within ${limits.answerMs} ms`)
    const response = await fetch(url, { signal: watch.signal })
    if (!response.ok || response.body === null) throw new Error(`the host answered ${response.status}`)
    const total = Number(response.headers.get("content-length")) || undefined
    const body = await collect(response.body, total, url, watch, limits.idleMs, onProgress)
    onProgress?.({ phase: "verify", detail: "SHA-256" })
    const found = createHash("sha256").update(body).digest("hex")
    if (found === sha256) return body
    throw new Error(`its SHA-256 is ${found}, wanted ${sha256}: refused`)
  } catch (error) {
    signal?.throwIfAborted()
    throw plain(error, url)
  } finally {
    watch.end()
  }
}

async function collect(
  body: AsyncIterable<Uint8Array>,
  totalBytes: number | undefined,
  detail: string,
  watch: Watch,
  idleMs: number,
  onProgress: OnProgress | undefined,
): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let receivedBytes = 0
  let toldAt = 0
  const tell = (): void =>
    onProgress?.({ phase: "download", detail, receivedBytes, ...(totalBytes === undefined ? {} : { totalBytes }) })
  watch.expect(idleMs, `nothing came for ${idleMs} ms`)
  for await (const piece of body) {
    watch.expect(idleMs, `nothing came for ${idleMs} ms`)
    pieces.push(piece)
    receivedBytes += piece.byteLength
    if (receivedBytes > BYTES_MAX) throw new Error(`it is larger than ${BYTES_MAX} bytes`)
    if (Date.now() - toldAt < PROGRESS_EVERY_MS) continue
    toldAt = Date.now()
    tell()
  }
  tell()
  return Buffer.concat(pieces)
}

/** One timer that is set again at each sign of life, joined with the caller's signal. */
class Watch {
  private readonly own = new AbortController()
  private timer: NodeJS.Timeout | undefined
  readonly signal: AbortSignal

  constructor(outer: AbortSignal | undefined) {
    this.signal = outer === undefined ? this.own.signal : AbortSignal.any([this.own.signal, outer])
  }

  expect(ms: number, otherwise: string): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.own.abort(new Error(otherwise)), ms)
  }

  end(): void {
    clearTimeout(this.timer)
    // Lets go of a body that was not read to its end.
    this.own.abort(new Error("done"))
  }
}

/** `fetch failed` says nothing; its cause does. */
function plain(error: unknown, url: string): Error {
  const { cause } = error as { cause?: { code?: string; message?: string } }
  const reason = cause?.code ?? cause?.message ?? (error as Error).message
  return new Error(`${url}: ${reason}`, { cause: error })
}
