/*
 * The health check of the container image: a program of its own, because it runs every few seconds and needs neither a
 * shell nor the command line. Ends with 0 when the node of this container answers, else with 1 and says why.
 *
 * It asks /healthz, not /readyz: those who look at a container's health restart it, and no restart brings a lost NATS
 * server back. A node serves HTTP once it is up, so a first good answer still means that it has joined its mesh.
 */
import { get } from "node:http"

const TIMEOUT_MS = 4_000

const [, ipv6, name, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(process.env.MURMUR_LISTEN ?? "") ?? []
const address = ipv6 ?? name ?? "127.0.0.1"
const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address

const request = get({ host, port: Number(port ?? 4300), path: "/healthz", timeout: TIMEOUT_MS }, (response) => {
  end(response.statusCode === 200 ? undefined : `the node answered ${response.statusCode}`)
})
request.on("timeout", () => end(`the node did not answer within ${TIMEOUT_MS} ms`))
request.on("error", (error) => end(error.message))

function end(trouble: string | undefined): void {
  if (trouble !== undefined) process.stdout.write(`${trouble}\n`)
  process.exit(trouble === undefined ? 0 : 1)
}
