import { connect } from "node:net"

/** What a NATS server says about itself to everyone who connects. */
export interface ServerInfo {
  readonly version: string
  readonly server_id: string
}

/** Long enough for a busy machine; who listens answers at once otherwise. */
const ANSWER_MS = 3_000

/** Connects and reads the greeting; `undefined` when no NATS server answers there. */
export function askInfo(url: string): Promise<ServerInfo | undefined> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let greeting = ""
    const socket = connect({ host: hostname, port: Number(port) })
    const done = (info?: ServerInfo): void => {
      socket.destroy()
      resolve(info)
    }
    socket.setTimeout(ANSWER_MS, () => done())
    socket.once("error", () => done())
    socket.once("close", () => done())
    socket.on("data", (chunk) => {
      greeting += chunk.toString("utf8")
      if (greeting.includes("\r\n") || greeting.length > 64 * 1024) done(parseInfo(greeting))
    })
  })
}

function parseInfo(greeting: string): ServerInfo | undefined {
  try {
    return JSON.parse(/^INFO (\{.*\})\s*\r\n/.exec(greeting)?.[1] ?? "")
  } catch {
    return undefined
  }
}
