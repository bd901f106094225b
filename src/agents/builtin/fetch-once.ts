import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http"
import { request as requestHttps } from "node:https"
import type { Socket } from "node:net"
import { isIP } from "node:net"
import { hostOf } from "./fetch-rules.js"
import { checkAddress, guardedLookup, type Network } from "./network.js"

/** One request to one address. */
export interface FetchOrder {
  readonly tool: string
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal
  /** More of the answer's body is not read. */
  readonly maxBytes: number
  readonly network: Network
}

/** An answer, its redirects not followed. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly bytes: Buffer
  readonly truncated: boolean
}

/**
 * Asks once, on a connection of its own, to an address that was checked for it.
 *
 * @throws TerminalError `TOOL_REFUSED`; errors of the network as Node gives them
 */
export function fetchOnce(order: FetchOrder): Promise<Reply> {
  const { tool, url, method, headers, body, signal, network } = order
  const host = hostOf(url)
  return new Promise((resolve, reject) => {
    if (isIP(host) !== 0) checkAddress(tool, host, host, network) // a literal is never looked up
    const send = url.protocol === "https:" ? requestHttps : requestHttp
    const lookup = guardedLookup(tool, network)
    const request = send(url, { method, headers, signal, lookup, agent: false }, (reply) => {
      read(request, reply, order).then(resolve, reject)
    })
    request.on("socket", (socket) => checkPeer(request, socket, order))
    request.on("error", reject)
    request.end(body)
  })
}

/** The address that was connected to after all: whatever chose it. */
function checkPeer(request: ClientRequest, socket: Socket, { tool, url, network }: FetchOrder): void {
  socket.once("connect", () => {
    try {
      checkAddress(tool, hostOf(url), socket.remoteAddress ?? "unknown", network)
    } catch (error) {
      request.destroy(error as Error)
    }
  })
}

async function read(request: ClientRequest, reply: IncomingMessage, { maxBytes }: FetchOrder): Promise<Reply> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > maxBytes) break
  }
  request.destroy()
  const bytes = Buffer.concat(chunks).subarray(0, maxBytes)
  return { status: reply.statusCode ?? 0, headers: reply.headers, bytes, truncated: size > maxBytes }
}
