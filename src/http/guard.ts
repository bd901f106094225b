import { createHash, timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"
import { HttpProblem } from "./problem.js"

/**
 * Refuses a caller that may not publish. With a token: the bearer token, compared in constant time. Without one the
 * server is on a loopback address, and the `Host` must be one too: a web page whose name was made to point to this
 * machine (DNS rebinding) sends its own name there.
 *
 * @throws HttpProblem 401 `UNAUTHORIZED`, 403 `HOST_REFUSED`
 */
export function guardOf(token: string | undefined): (headers: Headers) => void {
  if (token === undefined) return checkHost
  const wanted = digest(token)
  return (headers) => {
    const given = /^bearer +(.+)$/i.exec(headers.get("authorization") ?? "")?.[1]?.trim()
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return
    throw new HttpProblem(401, "UNAUTHORIZED", "This needs the node's token: Authorization: Bearer <token>", {
      headers: { "www-authenticate": 'Bearer realm="murmur"' },
    })
  }
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

function checkHost(headers: Headers): void {
  const host = headers.get("host")?.replace(/:\d+$/, "") ?? ""
  if (isLoopback(host.replace(/^\[(.*)\]$/, "$1"))) return
  throw new HttpProblem(403, "HOST_REFUSED", "Without a token only requests to localhost may publish; set MURMUR_TOKEN")
}

/** Whether an address or name stands for this machine only. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  if (name === "localhost" || name.endsWith(".localhost")) return true
  if (isIP(name) === 4) return name.startsWith("127.")
  return isIP(name) === 6 && (name === "::1" || name.startsWith("::ffff:127."))
}
