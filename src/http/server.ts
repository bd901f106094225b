import { once } from "node:events"
import type { Server } from "node:http"
import { type AddressInfo, isIPv6 } from "node:net"
import { createAdaptorServer } from "@hono/node-server"
import { ensureError, errorCode, MurmurError } from "../errors.js"
import { createApp } from "./app.js"
import type { HttpNode } from "./node.js"
import { type CheckedHttpOptions, checkHttpOptions, type HttpOptions } from "./options.js"

const CLOSE_GRACE_MS = 5_000

/** A node's HTTP side while it runs. */
export interface HttpServer {
  /** Where it listens, such as `http://127.0.0.1:4300`. */
  readonly url: string
  /** Takes no new connection, lets running requests end (5 s at most), then closes. */
  close(): Promise<void>
}

/**
 * Serves health, readiness, metrics, the intake of CloudEvents and the webhooks of a node.
 *
 * @throws MurmurError `HTTP_OPTION`, `HTTP_PUBLIC_WITHOUT_TOKEN`, `HTTP_PORT` when it cannot listen there
 * @example
 * const http = await startHttp(node, { port: 4300, token: process.env.MURMUR_TOKEN })
 * // ... http.url is "http://127.0.0.1:4300"
 * await http.close()
 */
export async function startHttp(node: HttpNode, options: HttpOptions): Promise<HttpServer> {
  const checked = checkHttpOptions(options)
  let closing = false
  const app = createApp(node, { ...checked, closing: () => closing })
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false, // agents run in this process: their Request and Response stay Node's own
    serverOptions: {
      headersTimeout: checked.headersTimeoutMs,
      requestTimeout: Math.max(checked.requestTimeoutMs, checked.headersTimeoutMs),
      // Node looks for slow clients only this often; its default of 30 s would make the timeouts above a minute.
      connectionsCheckingInterval: Math.min(1_000, checked.headersTimeoutMs, checked.requestTimeoutMs),
    },
  }) as Server // plain HTTP/1.1, as no other server is asked for
  server.maxConnections = checked.connectionsMax
  await listen(server, checked)
  server.on("error", (error) => node.telemetry.log.error({ err: error }, "the HTTP server has trouble"))
  return {
    url: urlOf(server, checked.host),
    close: async () => {
      closing = true
      await close(server)
    },
  }
}

async function listen(server: Server, { host, port }: CheckedHttpOptions): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, "listening")
  } catch (thrown) {
    const cause = ensureError(thrown)
    const why =
      errorCode(cause) === "EADDRINUSE"
        ? "the port is in use. Stop what uses it, choose another with --port, or --port 0 for a free one"
        : cause.message
    throw new MurmurError(`Cannot listen on ${host}:${port}: ${why}`, {
      code: "HTTP_PORT",
      cause,
      details: { host, port, reason: errorCode(cause) },
    })
  }
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host
  return `http://${isIPv6(reachable) ? `[${reachable}]` : reachable}:${port}`
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, "close")
  server.close()
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
  await closed
  clearTimeout(timer)
}
