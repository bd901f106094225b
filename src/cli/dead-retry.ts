import { type Bus, openBus } from "../bus/bus.js"
import { ensureError, errorCode, MurmurError } from "../errors.js"
import { DeadLetterRetry } from "../node/dead-letter-store.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { chosenLetters, forEachLetter, type LetterOptions, openLetters } from "./letters.js"
import { warn } from "./output.js"
import { counted } from "./text.js"

/** How long one event is tried, in milliseconds. */
const PUBLISH_MS = 10_000

/** `murmur dead retry`: sends letters back to their agents. Fails when one of them could not be sent back. */
export async function deadRetry(cli: Cli, [ids]: [string[]], options: LetterOptions): Promise<void> {
  const chosen = chosenLetters(ids, options)
  const retryAll = (bus: Bus, signal: AbortSignal) => {
    const letters = openLetters(bus)
    const retry = new DeadLetterRetry(bus, letters)
    return forEachLetter(letters, chosen, signal, async (stored) => {
      const { seq } = await retry.retry(stored, PUBLISH_MS)
      const { id, agent, event } = stored.letter
      if (!cli.options.json) await cli.out.line(id)
      return { id, agent, event: event.id, seq }
    })
  }
  const use = { open: openBus, deadlineMs: Number.POSITIVE_INFINITY }
  const { done, failed } = await withMesh(cli.options, retryAll, use)
  const failures = failed.map(({ id, error }) => ({
    id,
    error: { code: errorCode(error), message: ensureError(error).message },
  }))
  if (cli.options.json) await cli.out.json({ retried: done, failed: failures })
  const [only, ...more] = failed
  if (only === undefined) return
  if (done.length === 0 && more.length === 0) throw only.error
  for (const { error } of failures) warn(error.message)
  throw new MurmurError(`${counted(failed.length, "dead letter")} could not be sent back; ${done.length} were`, {
    code: "DEAD_RETRY",
  })
}
