import { userInfo } from "node:os"
import { answeredBefore, answerQuestion } from "../node/questions.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"
import { printable } from "./text.js"

/** Longer than the waiting for the answer to be taken. */
const DEADLINE_MS = 30_000

/**
 * `murmur ask answer <id> <answer>`: answers a question, waits until its step has taken the answer, and says which one
 * it took. Fails when another answer was first.
 */
export async function askAnswer(cli: Cli, [id, answer]: [string, string]): Promise<void> {
  const by = userName()
  const { question, taken } = await withMesh(
    cli.options,
    (bus, signal) => answerQuestion(bus, id, answer, { by, signal }),
    { deadlineMs: DEADLINE_MS },
  )
  if (taken !== undefined && taken.answer !== answer) throw answeredBefore(taken)
  const { id: of, agent, key, question: text } = question
  if (cli.options.json) {
    await cli.out.json({ id: of, agent, key: key ?? null, question: text, answer, taken: taken !== undefined, by })
  } else await cli.out.line(printable(`${of}  ${agent} ${key ?? "-"}  ${text}  ${answer}`))
  if (taken !== undefined) return
  warn(`the answer is stored, and "${agent}" has not taken it yet: it counts if it reaches it before ${question.until}`)
}

/** Who answers, as the system knows them; an account without a name is told by its number. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`
  }
}
