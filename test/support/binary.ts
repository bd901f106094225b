/** Where the global set-up leaves the path of the server binary for the test processes. */
export const BINARY_VARIABLE = "MURMUR_TEST_NATS_SERVER"

/**
 * The `nats-server` that tests start: what the global set-up found or fetched.
 *
 * @throws Error when there is none
 */
export function testBinary(): string {
  const path = process.env[BINARY_VARIABLE]
  if (path) return path
  throw new Error(`No nats-server for this test: the global set-up found none (${BINARY_VARIABLE} is not set)`)
}
