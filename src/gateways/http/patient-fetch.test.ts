import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { patientFetch } from "./patient-fetch.js"

const server = createServer((_, response) => {
  setTimeout(() => response.end("late"), 1_200)
})
let url = ""
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

test("waits for headers as long as it is told, and without end when it is told nothing", async () => {
  const codeOf = (error: Error): unknown => (error.cause as { code?: unknown } | undefined)?.code
  const short = patientFetch(fetch, { headersMs: 100 })(url).catch(codeOf)
  const long = patientFetch(fetch)(url).then((answer) => answer.text())
  expect(await short).toBe("UND_ERR_HEADERS_TIMEOUT")
  expect(await long).toBe("late")
})

test("hands on what it is given", async () => {
  const seen: unknown[] = []
  const inner = async (...given: unknown[]): Promise<Response> => {
    seen.push(...given)
    return new Response("")
  }
  const { signal } = new AbortController()
  await patientFetch(inner)("http://example.com", { method: "POST", signal })
  expect(seen).toMatchObject(["http://example.com", { method: "POST", signal }])
})
