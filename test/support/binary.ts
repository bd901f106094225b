import { execFileSync } from "node:child_process"

/** Where the global set-up leaves the path of the server binary for the test processes. */
export const BINARY_VARIABLE = "MURMUR_TEST_NATS_SERVER"

/**
 * The `nats-server` that tests start: what the global set-up found or fetched.
 *
 * @throws Error when there is none, with the reason that the set-up gave
 */
export function testBinary(): string {
  const found = process.env[BINARY_VARIABLE]
  if (found !== undefined && found !== "") return found
  const named = process.env.NATS_SERVER_BIN
  if (named !== undefined && named !== "") return named
  execFileSync("nats-server", ["--version"])
  return "nats-server"
}
