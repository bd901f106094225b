/*
 * Loads the agents and sources of folders and prints their names: a program of the container image, by which
 * "murmur build" sees that what it has built is whole. Ends with 1 and the reason when they do not load.
 */
import { ensureError } from "../errors.js"
import { Loader } from "../node/loader.js"

try {
  const { agents, sources } = await new Loader(process.argv.slice(2)).load()
  const names = { agents: agents.map(({ name }) => name), sources: sources.map(({ name }) => name) }
  process.stdout.write(JSON.stringify(names), () => process.exit(0))
} catch (error) {
  process.stderr.write(ensureError(error).message, () => process.exit(1))
}
