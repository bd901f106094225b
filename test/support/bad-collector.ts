import { once } from "node:events"
import { createServer, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** How a collector fails. */
export type CollectorFault =
  /** Takes requests and never answers. */
  | "hangs"
  /** Nobody listens at its port. */
  | "refuses"
  /** Answers after half a second. */
  | "is slow"
  /** Answers 503. */
  | "is busy"
  /** Breaks the connection when the request is there. */
  | "resets"
  /** Answers 404: it takes no such signal. */
  | "knows nothing"
  /** Answers 200 with what is no answer. */
  | "babbles"

/** A collector that fails, until it is mended. */
export interface BadCollector {
  readonly url: string
  /** How many requests came, and how many of them after it was mended. */
  readonly requests: number
  readonly taken: number
  mend(): Promise<void>
  close(): Promise<void>
}

/** Starts a collector that fails in one way. */
export async function startBadCollector(fault: CollectorFault): Promise<BadCollector> {
  let answer = answering(fault)
  let taken = 0
  let requests = 0
  const server = createServer((request, response) => {
    requests += 1
    request.resume().on("end", () => answer(response))
  })
  const port = await listen(server, 0)
  if (fault === "refuses") await stop(server)
  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests
    },
    get taken() {
      return taken
    },
    async mend() {
      answer = (response) => {
        taken += 1
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      }
      if (!server.listening) await listen(server, port)
    },
    close: () => stop(server),
  }
}

function answering(fault: CollectorFault): (response: ServerResponse) => void {
  switch (fault) {
    case "hangs":
    case "refuses":
      return () => {}
    case "is slow":
      return (response) => void setTimeout(() => response.writeHead(200).end("{}"), 500)
    case "is busy":
      return (response) => response.writeHead(503).end()
    case "resets":
      return (response) => response.destroy()
    case "knows nothing":
      return (response) => response.writeHead(404).end("no such page")
    case "babbles":
      return (response) => response.writeHead(200).end("<html>welcome")
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections()
  if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
}
