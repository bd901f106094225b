import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http"
import { request as httpsRequest } from "node:https"
import { isIP } from "node:net"
import { errorCode, isMurmurError, RetryableError } from "../../errors.js"
import { isPublicAddress } from "../http/public-address.js"
import { IMAGE_BYTES_MAX, imageError, imageMediaType, loadImages, tooLarge } from "./load-image.js"
import type { ImageSource, Message } from "./message.js"
import { hiddenAddress, publicLookup } from "./public-lookup.js"

/** From where images are fetched: from the public internet, or from one's own networks and machine as well. */
export type ImagesFrom = "public" | "anywhere"

/** How images are fetched. */
export interface FetchImageOptions {
  readonly from: ImagesFrom
  readonly signal: AbortSignal
}

/** An image's bytes, in base64. */
export interface ImageBytes {
  readonly data: string
  readonly mediaType: string
}

const REDIRECTS_MAX = 3
/** How long a server of images may say nothing, in milliseconds. */
const SILENCE_MS = 15_000

/**
 * The images of a conversation, each read once, for providers that take nothing but bytes: what has an address is
 * fetched, 20 MiB at most. An address may have come with an event, so it is not followed to one's own networks unless
 * the options say so.
 *
 * @throws TerminalError `LLM_IMAGE` as `loadImage`, or for an address that is not to be asked, or has no image;
 *   RetryableError `LLM_IMAGE` when it cannot be reached now
 */
export async function fetchImages(
  messages: readonly Message[],
  options: FetchImageOptions,
): Promise<ReadonlyMap<ImageSource, ImageBytes>> {
  const loaded = await loadImages(messages)
  const fetching = [...loaded].map(async ([source, image]) => {
    return [source, "url" in image ? await fetchImage(image.url, options) : image] as const
  })
  return new Map(await Promise.all(fetching))
}

async function fetchImage(address: string, options: FetchImageOptions): Promise<ImageBytes> {
  let url = new URL(address)
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const answer = await ask(url, options)
    const { statusCode = 0, headers } = answer
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      answer.destroy()
      url = new URL(headers.location, url)
      continue
    }
    const what = `at "${url.host}"`
    if (statusCode !== 200) {
      answer.destroy()
      throw refused(what, statusCode)
    }
    const bytes = await readBounded(answer, what)
    return { data: bytes.toString("base64"), mediaType: imageMediaType(bytes, what) }
  }
  throw imageError(`Cannot fetch the image at "${url.host}": more than ${REDIRECTS_MAX} redirects`)
}

function ask(url: URL, { from, signal }: FetchImageOptions): Promise<IncomingMessage> {
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw imageError(`Cannot fetch an image by "${url.protocol}": wanted http or https`)
  }
  const host = url.hostname.replace(/^\[|\]$/g, "")
  if (from === "public" && isIP(host) !== 0 && !isPublicAddress(host)) throw hiddenAddress(url.host)
  const send = url.protocol === "https:" ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request: ClientRequest = send(
      url,
      {
        signal,
        timeout: SILENCE_MS,
        headers: { accept: "image/*" },
        ...(from === "public" && { lookup: publicLookup }),
      },
      resolve,
    )
    request.on("timeout", () => request.destroy(new Error(`not a byte for ${SILENCE_MS} ms`)))
    request.on("error", (error) => reject(unreachable(url, error)))
    request.end()
  })
}

async function readBounded(answer: IncomingMessage, what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Leaving the loop destroys the connection.
    if (bytes > IMAGE_BYTES_MAX) throw tooLarge(what, bytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function refused(what: string, status: number): Error {
  const message = `Cannot fetch the image ${what}: status ${status}`
  if (status < 500 && status !== 429) return imageError(message)
  return new RetryableError(message, { code: "LLM_IMAGE" })
}

function unreachable(url: URL, error: Error): Error {
  if (isMurmurError(error)) return error
  return new RetryableError(`Cannot fetch the image at "${url.host}": ${errorCode(error)}`, {
    code: "LLM_IMAGE",
    cause: error,
  })
}
