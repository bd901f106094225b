import type { IncomingMessage } from "node:http"
import { HttpProblem } from "./problem.js"

/**
 * Reads a body, counting while it comes: never more than `bytesMax` is held. What is too large is refused before the
 * first byte when the length is declared; the rest of it is thrown away unread by the server, so that the answer arrives.
 *
 * @throws HttpProblem 413 `BODY_TOO_LARGE`, 400 `BODY_INCOMPLETE` when the client went away or was too slow
 */
export function readBody(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  if (Number(incoming.headers["content-length"]) > bytesMax) return Promise.reject(tooLarge(bytesMax))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const settle = (finish: () => void): void => {
      incoming.off("data", onData).off("end", onEnd).off("error", onBroken).off("close", onBroken)
      finish()
    }
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length > bytesMax) settle(() => reject(tooLarge(bytesMax)))
      else chunks.push(chunk)
    }
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks, length)))
    const onBroken = (): void => settle(() => reject(incomplete()))
    incoming.on("data", onData).on("end", onEnd).on("error", onBroken).on("close", onBroken)
    if (incoming.readableEnded) onEnd()
    else if (incoming.destroyed) onBroken()
  })
}

const tooLarge = (bytesMax: number): HttpProblem =>
  new HttpProblem(413, "BODY_TOO_LARGE", `The body is larger than ${bytesMax} bytes`, { members: { bytesMax } })

const incomplete = (): HttpProblem =>
  new HttpProblem(400, "BODY_INCOMPLETE", "The connection ended before the whole body had come")
