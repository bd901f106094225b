// Stands for Jaeger in the test: takes OTLP/HTTP in JSON on port 4318, and tells on 16686 which spans came.
import { createServer } from "node:http"
import { gunzipSync } from "node:zlib"

if (process.argv.includes("--check")) {
  const { ok } = await fetch("http://127.0.0.1:16686").catch(() => ({ ok: false }))
  process.exit(ok ? 0 : 1)
}

const spans = []

const plain = (attributes) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.boolValue]))

function take(body) {
  for (const { resource, scopeSpans } of body.resourceSpans ?? []) {
    const node = plain(resource.attributes)["service.instance.id"]
    for (const { spans: some } of scopeSpans) {
      for (const { traceId, spanId, parentSpanId, name } of some)
        spans.push({ node, traceId, spanId, parentSpanId, name })
    }
  }
}

createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const raw = Buffer.concat(chunks)
  take(JSON.parse(request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw))
  response.writeHead(200, { "content-type": "application/json" }).end("{}")
}).listen(4318)

createServer((_request, response) => {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(spans))
}).listen(16686)

process.on("SIGTERM", () => process.exit(0))
