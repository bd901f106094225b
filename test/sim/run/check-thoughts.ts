import { journalSubject, parseRecord } from "../../../src/agents/journal/records.js"
import { calledIn } from "./bill.js"
import type { SimMesh } from "./mesh.js"
import { mindOf } from "./mind-plan.js"
import type { Receipt } from "./sim-model.js"

/**
 * Whether what a commit holds of a step's thoughts is one run of it: every turn of every conversation, each with the answer
 * that its own call was given, and the one that is in the journal.
 *
 * @returns what does not hold
 */
export function checkThoughts(
  mesh: SimMesh,
  agent: string,
  event: string,
  thoughts: readonly (readonly string[])[],
): string | undefined {
  const { conversations } = mindOf(mesh.options.seed, agent, event, mesh.options.plans)
  if (thoughts.length !== conversations.length) return `${thoughts.length} conversations, not ${conversations.length}`
  const subject = journalSubject(mesh.names.mesh, agent, event)
  const journaled = numbersIn(mesh, subject)
  for (const [conversation, { turns }] of conversations.entries()) {
    const said = [...(thoughts[conversation] ?? [])]
    for (const [turn, { calls }] of turns.entries()) {
      const words = [
        `turn ${conversation}/${turn}`,
        ...calls.map(({ tool }, n) => `${tool} ${conversation}/${turn}/${n}`),
      ]
      for (const call of words) {
        const wrong = checkWords(mesh, subject, call, said.shift(), journaled)
        if (wrong !== undefined) return wrong
      }
    }
    if (said.length > 0) return `more was said than the plan has: ${said}`
  }
  return undefined
}

/** What the model said, or was told. */
function checkWords(
  mesh: SimMesh,
  subject: string,
  call: string,
  words: string | undefined,
  journaled: ReadonlyMap<string, number>,
): string | undefined {
  if (words === undefined) return `nothing was said of "${call}"`
  if (call.startsWith("ask ")) return words === "yes" || words === "no" ? undefined : `"${call}" has "${words}"`
  if (words === `Error: dark: ${call}` || words.startsWith("Error: the process ended ")) {
    return journaled.has(call) ? `"${call}" failed, and has an answer` : undefined
  }
  const receipts = receiptsIn(call, words)
  for (const { call: paid, number } of receipts) {
    const invoice = mesh.bill.invoice(number)
    if (invoice?.call !== paid || invoice.step !== subject)
      return `"${call}" has the answer of something else: ${words}`
    if (journaled.has(`Error: dark: ${paid}`)) return `"${paid}" has an answer, and failed`
    const kept = journaled.get(paid)
    if (kept !== undefined && kept !== number) return `"${paid}" is ${number}, and ${kept} in the journal`
  }
  return receipts.length > 0 ? undefined : `"${call}" has "${words}"`
}

function receiptsIn(call: string, words: string): readonly Receipt[] {
  try {
    const said = JSON.parse(words)
    if (!call.startsWith("twice ")) return [said]
    return [
      { call: `${call} 1`, number: said.first },
      { call: `${call} 2`, number: said.second },
    ]
  } catch {
    return []
  }
}

/** The numbers of the calls that are answered in a journal, and under what their model was told of those that failed. */
function numbersIn(mesh: SimMesh, subject: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const { data } of mesh.streams.steps.under(subject)) {
    const record = parseRecord(data, subject)
    for (const each of record.kind === "waiting" ? record.answers : [record]) {
      if (each.kind !== "answer") continue
      if (each.call.startsWith("told of ")) found.set(String(each.answer), -1)
      else {
        const number = numberOf(each.call, each.answer)
        if (number !== undefined) found.set(String(calledIn(each)), number)
      }
    }
  }
  return found
}

function numberOf(call: string, answer: unknown): number | undefined {
  if (call === "llm") return JSON.parse((answer as { message: { content: string } }).message.content).number
  if (call.startsWith("tool ")) return (answer as Receipt).number
  return typeof answer === "number" ? answer : undefined
}
