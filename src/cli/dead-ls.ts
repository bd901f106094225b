import type { DeadLetter } from "../agents/dead-letters.js"
import { checkName } from "../bus/subjects.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { type LetterOptions, openLetters } from "./letters.js"
import { checkedArgument } from "./usage.js"

/** `murmur dead ls`: the dead letters, oldest first. */
export async function deadLs(cli: Cli, _args: [], { agent, type }: LetterOptions): Promise<void> {
  if (agent !== undefined) checkedArgument(() => checkName(agent, "agent"))
  const rows = await withMesh(cli.options, async (bus, signal) => {
    const found: ReturnType<typeof summary>[] = []
    for await (const { letter } of openLetters(bus).list({ agent, type }, signal)) found.push(summary(letter))
    return found
  })
  if (cli.options.json) return cli.out.json(rows)
  await cli.out.table(
    ["id", "at", "agent", "type", "key", "reason", "attempts", "error"],
    rows.map(({ id, at, agent, type, key, reason, attempts, error }) => [
      id,
      at,
      agent,
      type,
      key ?? "-",
      reason,
      attempts,
      `${error.code}: ${error.message}`,
    ]),
  )
}

/** One letter of the list. */
function summary({ id, agent, reason, at, event, error, attempts }: DeadLetter) {
  const { code, message } = error
  return {
    id,
    agent,
    type: event.type,
    key: event.subject ?? null,
    reason,
    attempts: attempts.length,
    error: { code, message },
    at,
    event: event.id,
  }
}
