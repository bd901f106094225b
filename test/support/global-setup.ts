import { ensureServerBinary } from "../../src/bus/server/index.js"
import { BINARY_VARIABLE } from "./binary.js"

/**
 * Finds or fetches the server once, before the test processes start: they inherit the variable, and none of them races
 * for the download. Without a server the tests that need none still run.
 */
export default async function setup(): Promise<void> {
  if (process.env[BINARY_VARIABLE]) return
  try {
    const { path } = await ensureServerBinary()
    process.env[BINARY_VARIABLE] = path
  } catch (error) {
    process.stderr.write(`Tests with a nats-server will fail. ${(error as Error).message}\n`)
  }
}
