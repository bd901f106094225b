import { RetryableError, TerminalError } from "../../errors.js"

/** What bounds an answer. */
export interface GuardOptions {
  /** Of the gateway; for messages. */
  readonly provider: string
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  readonly idleMs?: number
  /** How large an answer may be, in bytes, after decompression. Default 16 MiB. */
  readonly replyBytesMax?: number
}

const IDLE_MS = 30_000
const REPLY_BYTES_MAX = 16 * 2 ** 20
const UTF8 = new TextDecoder()

type Guard = Required<GuardOptions>

/**
 * A `fetch` for the vendors' SDKs. An answer that stops coming, or never ends, breaks the request off; reading it then
 * throws `LLM_IDLE` (retryable) or `LLM_REPLY_TOO_LARGE` (terminal). Only reading is timed: an answer that nobody reads is
 * not idle. Until the headers are there the caller's signal is the only bound.
 *
 * What guards is how the SDKs read: `body`, `text()`, `json()`, `arrayBuffer()`.
 */
export function guardedFetch({ provider, idleMs = IDLE_MS, replyBytesMax = REPLY_BYTES_MAX }: GuardOptions) {
  const guard: Guard = { provider, idleMs, replyBytesMax }
  return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init)
    return response.body === null ? response : guarded(response, response.body, guard)
  }
}

/**
 * Takes the place of the response's own ways to be read. A new response around a stream of ours would do the same, and
 * costs a quarter of what a whole request to a server nearby takes.
 */
function guarded(response: Response, body: ReadableStream<Uint8Array>, guard: Guard): Response {
  let streamed: ReadableStream<Uint8Array> | undefined
  const read = (): Promise<Uint8Array> => readWhole((streamed ?? body).getReader(), guard)
  const text = async (): Promise<string> => UTF8.decode(await read())
  return Object.defineProperties(response, {
    body: {
      get() {
        streamed ??= guardedStream(body.getReader(), guard)
        return streamed
      },
    },
    arrayBuffer: { value: async () => new Uint8Array(await read()).buffer },
    text: { value: text },
    json: { value: async () => JSON.parse(await text()) },
  })
}

type Reader = ReadableStreamDefaultReader<Uint8Array>

async function readWhole(reader: Reader, guard: Guard): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  let failure: Error | undefined
  const giveUp = (error: Error): void => {
    failure ??= error
    cancel(reader, error)
  }
  const timer = setTimeout(() => giveUp(idleError(guard)), guard.idleMs)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (failure !== undefined) throw failure
      if (done) return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes)
      bytes += value.byteLength
      if (bytes > guard.replyBytesMax) giveUp(sizeError(guard))
      else chunks.push(value)
      timer.refresh()
    }
  } finally {
    clearTimeout(timer)
  }
}

function guardedStream(reader: Reader, guard: Guard): ReadableStream<Uint8Array> {
  let bytes = 0
  const giveUp = (controller: ReadableStreamDefaultController, error: Error): void => {
    controller.error(error)
    cancel(reader, error)
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const timer = setTimeout(() => giveUp(controller, idleError(guard)), guard.idleMs)
        try {
          const { done, value } = await reader.read()
          if (done) return close(controller)
          bytes += value.byteLength
          if (bytes > guard.replyBytesMax) giveUp(controller, sizeError(guard))
          else controller.enqueue(value)
        } finally {
          clearTimeout(timer)
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** The connection goes with it; what that throws is no news. */
function cancel(reader: Reader, reason: Error): void {
  reader.cancel(reason).catch(() => {})
}

/** A read that was given up comes back as the end: by then the stream has failed, and cannot be closed. */
function close(controller: ReadableStreamDefaultController): void {
  try {
    controller.close()
  } catch {}
}

function idleError({ provider, idleMs }: Guard): RetryableError {
  return new RetryableError(
    `Cannot read the answer of provider "${provider}": it stopped coming; not a byte for ${idleMs} ms`,
    { code: "LLM_IDLE", details: { provider, idleMs } },
  )
}

function sizeError({ provider, replyBytesMax }: Guard): TerminalError {
  return new TerminalError(
    `Cannot read the answer of provider "${provider}": it is larger than ${replyBytesMax} bytes; ask for less, by maxTokens`,
    { code: "LLM_REPLY_TOO_LARGE", details: { provider, replyBytesMax } },
  )
}
