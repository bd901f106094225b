import { createInterface } from "node:readline/promises"
import type { BusCore } from "../bus/bus-core.js"
import { ensureError, MurmurError } from "../errors.js"
import type { StoredLetter } from "../node/dead-letter-store.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { chosenLetters, forEachLetter, type LetterOptions, openLetters } from "./letters.js"
import { warn } from "./output.js"
import { counted, printable } from "./text.js"
import { usageError } from "./usage.js"

/** `murmur dead drop`: deletes letters for good. Asks first on a terminal; elsewhere it wants `--yes`. */
export async function deadDrop(cli: Cli, [ids]: [string[]], options: LetterOptions & { yes?: boolean }): Promise<void> {
  const chosen = chosenLetters(ids, options)
  const asks = !options.yes
  if (asks && !(process.stdin.isTTY && process.stderr.isTTY)) {
    throw usageError("deleting dead letters cannot be undone: add --yes where nobody can be asked")
  }
  const dropAll = async (bus: BusCore, signal: AbortSignal) => {
    const letters = openLetters(bus)
    const found = await forEachLetter(letters, chosen, signal, async (stored) => stored)
    if (asks && found.done.length > 0 && !(await confirmed(found.done))) return { dropped: [], failed: found.failed }
    for (const stored of found.done) await letters.drop(stored)
    return { dropped: found.done.map(({ letter }) => letter.id), failed: found.failed }
  }
  const { dropped, failed } = await withMesh(cli.options, dropAll, {
    deadlineMs: Number.POSITIVE_INFINITY,
    patient: asks,
  })
  if (cli.options.json) await cli.out.json({ dropped })
  else for (const id of dropped) await cli.out.line(id)
  const [only, ...more] = failed
  if (only === undefined) return
  if (dropped.length === 0 && more.length === 0) throw only.error
  for (const { error } of failed) warn(ensureError(error).message)
  throw new MurmurError(`${counted(failed.length, "dead letter")} could not be dropped; ${dropped.length} were`, {
    code: "DEAD_UNKNOWN",
  })
}

async function confirmed(letters: readonly StoredLetter[]): Promise<boolean> {
  for (const { letter } of letters.slice(0, 10)) {
    process.stderr.write(printable(`  ${letter.id}  ${letter.agent}  ${letter.event.type}`))
    process.stderr.write("\n")
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question(`Delete ${counted(letters.length, "dead letter")} for good? [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    asking.close()
  }
}
