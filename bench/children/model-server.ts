import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tell, untilStopped } from "../support/parent.js"

/** A provider of models that answers at once, with the same words: what is measured is what stands before it. */
const answer = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_780_000_000,
  model: "bench",
  choices: [
    {
      index: 0,
      finish_reason: "stop",
      message: { role: "assistant", content: "The run failed since a test timed out." },
    },
  ],
  usage: { prompt_tokens: 120, completion_tokens: 12, total_tokens: 132 },
})

const stopped = untilStopped()
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  request.resume()
  request.once("end", () => {
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) })
    response.end(answer)
  })
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
tell({ baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` })
await stopped
server.closeAllConnections()
server.close()
