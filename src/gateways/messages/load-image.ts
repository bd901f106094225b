import { open } from "node:fs/promises"
import { errorCode, TerminalError } from "../../errors.js"
import type { ImageSource, Message } from "./message.js"

/** The largest image that is read, in bytes: 20 MiB, which is what the largest providers take. */
export const IMAGE_BYTES_MAX = 20 * 2 ** 20

/** An image that can be sent: its bytes in base64, or an address. */
export type LoadedImage = { readonly data: string; readonly mediaType: string } | { readonly url: string }

/** Images by the source that the message names. */
export type LoadedImages = ReadonlyMap<ImageSource, LoadedImage>

/**
 * Reads an image that lies in a file, or in its own address (`data:`); the media type is what its first bytes say, not its
 * name. Other addresses and bytes stay as they are.
 *
 * @throws TerminalError `LLM_IMAGE` when the file cannot be read, is larger than 20 MiB, or is no PNG, JPEG, GIF, WebP,
 *   AVIF, HEIC or BMP
 */
export async function loadImage(source: ImageSource): Promise<LoadedImage> {
  if ("data" in source) return source
  if ("url" in source) return inDataUrl(source.url) ?? source
  const bytes = await readBounded(source.path)
  return { data: bytes.toString("base64"), mediaType: imageMediaType(bytes, `"${source.path}"`) }
}

const DATA_URL = /^data:[^,]*;base64,([A-Za-z0-9+/_=-]+)$/

/** Not all providers take an address that holds the bytes itself. */
function inDataUrl(url: string): LoadedImage | undefined {
  if (!url.startsWith("data:")) return undefined
  const bytes = Buffer.from(DATA_URL.exec(url)?.[1] ?? "", "base64")
  if (bytes.length > IMAGE_BYTES_MAX) throw tooLarge("in a data URL", bytes.length)
  return { data: bytes.toString("base64"), mediaType: imageMediaType(bytes, "in a data URL") }
}

/** The images of a conversation, each read once. Nothing is awaited where there are none. */
export function loadImages(messages: readonly Message[]): LoadedImages | Promise<LoadedImages> {
  const sources = new Set(messages.flatMap(imagesOf))
  if (sources.size === 0) return new Map()
  const loading = [...sources].map(async (source) => [source, await loadImage(source)] as const)
  return Promise.all(loading).then((loaded) => new Map(loaded))
}

function imagesOf(message: Message): ImageSource[] {
  if (message.role !== "user" || typeof message.content === "string") return []
  return message.content.flatMap((part) => (part.type === "image" ? [part.image] : []))
}

/**
 * Of an image, by its first bytes.
 *
 * @param what names it in the error
 * @throws TerminalError `LLM_IMAGE`
 */
export function imageMediaType(bytes: Buffer, what: string): string {
  const text = bytes.subarray(0, 32).toString("latin1")
  for (const [pattern, mediaType] of MAGIC) if (pattern.test(text)) return mediaType
  throw imageError(
    `Cannot send the image ${what}: wanted PNG, JPEG, GIF, WebP, AVIF, HEIC or BMP, found something else`,
  )
}

const MAGIC: readonly (readonly [RegExp, string])[] = [
  [/^\x89PNG\r\n/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^GIF8[79]a/, "image/gif"],
  [/^RIFF.{4}WEBP/s, "image/webp"],
  [/^.{4}ftyp(avif|avis)/s, "image/avif"],
  [/^.{4}ftyp(heic|heix|hevc|mif1)/s, "image/heic"],
  [/^BM.{4}\0\0\0\0/s, "image/bmp"],
]

async function readBounded(path: string): Promise<Buffer> {
  try {
    const file = await open(path, "r")
    try {
      const facts = await file.stat()
      const { size } = facts
      // A device or a pipe has no size, and no end.
      if (!facts.isFile()) throw imageError(`Cannot read the image "${path}": it is no file`)
      if (size > IMAGE_BYTES_MAX) throw tooLarge(`"${path}"`, size)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof TerminalError) throw error
    throw imageError(`Cannot read the image "${path}": ${errorCode(error)}`, error)
  }
}

/** The error of an image that is larger than {@link IMAGE_BYTES_MAX}. */
export function tooLarge(what: string, bytes: number): TerminalError {
  return imageError(`Cannot send the image ${what}: it may have ${IMAGE_BYTES_MAX} bytes, and has ${bytes}`)
}

/** An image that cannot be sent. */
export function imageError(message: string, cause?: unknown): TerminalError {
  return new TerminalError(message, { code: "LLM_IMAGE", cause })
}
