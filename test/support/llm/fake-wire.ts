import type { ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import type { FakeAnswer, FakeReply, Fault, Protocol, WireAnswer } from "./fake-protocol.js"

type StatusFault = Extract<Fault, object>

/** Sends a reply, with what is to go wrong on its way. Resolves when nothing more is sent. */
export async function send(
  response: ServerResponse,
  reply: FakeReply,
  write: (answer: FakeAnswer) => WireAnswer,
  error: Protocol["error"],
): Promise<void> {
  const { fault, ...answer } = reply
  if (answer.delayMs !== undefined && !(await wait(answer.delayMs, response))) return
  if (typeof fault === "object") return sendStatus(response, fault, error)
  if (fault === "hang") return
  if (fault === "reset") return reset(response)
  if (fault === "empty") return void response.writeHead(200, { "content-type": "application/json" }).end()
  if (fault === "html") {
    return void response
      .writeHead(200, { "content-type": "text/html" })
      .end("<html><h1>Welcome to the proxy</h1></html>")
  }
  const wire = answer.raw === undefined ? write(answer) : { contentType: "application/json", ...answer.raw }
  response.writeHead(200, { "content-type": wire.contentType })
  await sendBody(response, fault, wire, answer.pieceDelayMs ?? 0)
}

function sendStatus(response: ServerResponse, fault: StatusFault, error: Protocol["error"]): void {
  const { status, message = `fault ${status}`, headers, body } = fault
  const text = body ?? JSON.stringify(error(status, message))
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(text)
}

async function sendBody(
  response: ServerResponse,
  fault: Exclude<Fault, object> | undefined,
  wire: WireAnswer,
  pieceDelayMs: number,
): Promise<void> {
  if (fault === "trickle") return trickle(response, wire)
  if (fault === undefined) return sendPieces(response, wire.pieces, pieceDelayMs)
  const whole = Buffer.from(wire.pieces.join(""))
  response.write(whole.subarray(0, Math.floor(whole.length / 2)))
  if (fault === "stall") return
  if (fault === "cut") {
    response.end()
    return
  }
  // What was written is to arrive before the reset, not to be lost with it.
  if (await wait(50, response)) reset(response)
}

async function sendPieces(response: ServerResponse, pieces: readonly string[], delayMs: number): Promise<void> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0 && delayMs > 0 && !(await wait(delayMs, response))) return
    if (response.destroyed) return
    if (!response.write(piece)) await drained(response)
  }
  response.end()
}

/** Resolves when more can be written, or nobody reads any longer. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go)
      resolve()
    }
    response.on("drain", go).on("close", go)
  })
}

async function trickle(response: ServerResponse, wire: WireAnswer): Promise<void> {
  for (const byte of Buffer.from(wire.pieces.join(""))) {
    response.write(Buffer.of(byte))
    if (!(await wait(1_000, response))) return
  }
  response.end()
}

function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy()
}

/** Whether the client is still there afterwards. */
async function wait(ms: number, response: ServerResponse): Promise<boolean> {
  const gone = new AbortController()
  const leave = (): void => gone.abort()
  response.once("close", leave)
  await sleep(ms, undefined, { signal: gone.signal }).catch(() => {})
  response.off("close", leave)
  return !response.destroyed
}
