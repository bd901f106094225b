import { RefusedError } from "../http/refusing-fetch.js"

/**
 * Checks the lines of a stream of JSON before the library reads them: it would write those that are cut to the console,
 * and go on.
 *
 * @throws while it is read: SyntaxError for a line that is no JSON, RefusedError for one that says what went wrong
 */
export function checkedLines(response: Response): Response {
  const { body, status, statusText, headers } = response
  if (body === null) return response
  const decoder = new TextDecoder()
  let rest = ""
  const check = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) checkLine(line, response)
      controller.enqueue(chunk)
    },
    flush() {
      checkLine(rest + decoder.decode(), response)
    },
  })
  return new Response(body.pipeThrough(check), { status, statusText, headers })
}

function checkLine(line: string, { headers }: Response): void {
  if (line.trim() === "") return
  const value: unknown = JSON.parse(line)
  const failed = typeof value === "object" && value !== null && "error" in value
  if (failed) throw new RefusedError({ status: undefined, headers, body: line })
}
