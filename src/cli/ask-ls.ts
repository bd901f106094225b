import { openQuestions, type QuestionRecord } from "../node/questions.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"

/** `murmur ask ls`: the questions that wait for a person, the most urgent first. */
export async function askLs(cli: Cli): Promise<void> {
  const rows = (await withMesh(cli.options, (bus) => openQuestions(bus))).map(summary)
  if (cli.options.json) return cli.out.json(rows)
  await cli.out.table(
    ["id", "agent", "key", "question", "choices", "default", "until"],
    rows.map(({ id, agent, key, question, choices, default: fallback, until }) => [
      ...[id, agent, key ?? "-", question],
      ...[choices?.join(", ") ?? "any text", fallback, until],
    ]),
  )
}

/** One question of the list. */
function summary(record: QuestionRecord) {
  const { id, agent, key, question, choices, default: fallback, until, askedAt, step } = record
  return {
    ...{ id, agent, key: key ?? null, question },
    ...{ choices: choices ?? null, default: fallback, until, askedAt, step },
  }
}
