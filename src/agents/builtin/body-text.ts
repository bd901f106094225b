/** Bytes as text, where they are text. */
export interface BodyText {
  readonly body: string
  readonly encoding: "utf8" | "base64"
}

/**
 * What bytes say: as text when their charset (or else UTF-8) can read them, else in base64.
 *
 * @param cut whether the last character may be incomplete
 */
export function textOf(bytes: Uint8Array, mediaType: string | undefined, cut: boolean): BodyText {
  const [, charset = "utf-8"] = /charset="?([\w-]+)/i.exec(mediaType ?? "") ?? []
  try {
    const body = new TextDecoder(charset, { fatal: true }).decode(bytes, { stream: cut })
    if (!body.includes("\u0000")) return { body, encoding: "utf8" }
  } catch {} // another charset, or no text at all
  return { body: Buffer.from(bytes).toString("base64"), encoding: "base64" }
}
