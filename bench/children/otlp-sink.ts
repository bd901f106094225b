import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { readTask, tell, untilStopped } from "../support/parent.js"

/** An OTLP receiver that takes everything and keeps nothing but the number of requests and bytes. */
await readTask()
const stopped = untilStopped()
let requests = 0
let bytes = 0
const server = createServer((request, response) => {
  requests += 1
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
tell({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
await stopped
tell({ requests, bytes })
process.exit(0)
