import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { FakeHandler, FakeReply, Protocol, ReceivedCall, SeenRequest } from "./fake-protocol.js"
import { send } from "./fake-wire.js"

type Call = { -readonly [Key in keyof ReceivedCall]: ReceivedCall[Key] }

/**
 * A provider of models on this machine that speaks one provider's protocol, answers what a test says, and keeps what it
 * was asked. `GET /__calls` tells the same to other processes.
 */
export class FakeServer {
  readonly url: string
  /** All requests, in the order in which they came. */
  readonly calls: readonly ReceivedCall[]
  readonly #server: Server
  readonly #protocol: Protocol
  readonly #calls: Call[] = []
  #handler: FakeHandler = (seen) => ({ text: `You said: ${seen.messages.at(-1)?.text ?? ""}` })

  private constructor(server: Server, protocol: Protocol) {
    this.#server = server
    this.#protocol = protocol
    this.calls = this.#calls
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on("request", (request, response) => void this.#answer(request, response))
  }

  static async start(protocol: Protocol, { port = 0 }: { readonly port?: number } = {}): Promise<FakeServer> {
    const server = createServer({
      // A connection that is closed for idling in the moment of its next request would be a fault that nobody asked for.
      keepAliveTimeout: 600_000,
    })
    server.listen(port, "127.0.0.1")
    await once(server, "listening")
    return new FakeServer(server, protocol)
  }

  /** What is answered from now on: by a handler, or these one after the other, the last one again and again. */
  reply(...replies: readonly [FakeHandler] | readonly FakeReply[]): void {
    const [first] = replies
    if (typeof first === "function") {
      this.#handler = first
      return
    }
    const queue = [...(replies as readonly FakeReply[])]
    this.#handler = () => (queue.length > 1 ? queue.shift() : queue[0]) ?? {}
  }

  /** The requests in the words that all protocols share. */
  get seen(): readonly SeenRequest[] {
    return this.#calls.map((call) => this.#protocol.read(call))
  }

  /** The newest one. */
  get last(): SeenRequest {
    const call = this.#calls.at(-1)
    if (call === undefined) throw new Error("Nobody has asked this server anything")
    return this.#protocol.read(call)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await bodyOf(request)
      if (request.url === "/__calls") {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(this.#calls))
        return
      }
      const call = this.#record(request, body)
      response.once("close", () => {
        call.brokenOff = !response.writableFinished && !response.errored
      })
      const seen = this.#protocol.read(call)
      const reply = await this.#handler(seen, call)
      await send(response, reply, (answer) => this.#protocol.write(answer, seen, call), this.#protocol.error)
    } catch (error) {
      fail(response, error)
    }
  }

  #record(request: IncomingMessage, body: unknown): Call {
    const { method = "", url: path = "", headers } = request
    const call: Call = {
      ...{ index: this.#calls.length, method, path, headers, body },
      ...{ atMs: Date.now(), brokenOff: false },
    }
    this.#calls.push(call)
    return call
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString())
}

/** A mistake of the test, not a fault that it asked for: as loud as a server can be. */
function fail(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(599, { "content-type": "text/plain" }).end(`The fake server failed: ${(error as Error).stack}`)
}
