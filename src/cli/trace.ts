import { type CausalTree, causalTree, type TreeEvent } from "../node/causal-tree.js"
import { type Reaction, sumOf } from "../node/run-costs.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { jaegerUrl } from "./jaeger.js"
import { type Output, warn } from "./output.js"
import { counted, duration, printable, usageText } from "./text.js"

/** Options of `murmur trace`. */
export interface TraceOptions {
  since?: Date
}

/** Reading a large stream takes a while; a server that does not answer is noticed earlier. */
const DEADLINE_MS = 120_000

/** `murmur trace <event-id>`: what an event came from and what it led to. */
export async function trace(cli: Cli, [id]: [string], { since }: TraceOptions): Promise<void> {
  const read = async (...[bus, signal]: Parameters<Parameters<typeof withMesh>[1]>) =>
    causalTree(bus, id, { since, signal })
  const tree = await withMesh(cli.options, read, { deadlineMs: DEADLINE_MS })
  for (const note of tree.notes) warn(note)
  const url = jaegerUrl(traceIdOf(tree.root))
  if (cli.options.json) {
    const { usage, costUsd } = sumOf(reactionsIn(tree.root))
    const used = { tokens: usage.inputTokens + usage.outputTokens, costUsd }
    return cli.out.json({ ...tree.root, complete: tree.complete, ...used, ...(url && { jaeger: url }) })
  }
  await draw(cli.out, tree)
  if (url !== undefined) await cli.out.line(`Jaeger: ${url}`)
}

/** The trace that the root is part of; where its publisher traced nothing, the first that begins below it. */
function traceIdOf({ traceId, effects }: TreeEvent): string | null {
  if (traceId !== null) return traceId
  for (const effect of effects) {
    const below = traceIdOf(effect)
    if (below !== null) return below
  }
  return null
}

function reactionsIn({ reactions, effects }: TreeEvent): Reaction[] {
  return [...reactions, ...effects.flatMap(reactionsIn)]
}

function reactionText({ agent, usage, costUsd }: Reaction): string {
  const costMicroUsd = costUsd === null ? undefined : costUsd * 1_000_000
  return `${agent === "" ? "" : `${agent}: `}${usageText({ ...usage, costMicroUsd })}`
}

async function draw(out: Output, { root, asked }: CausalTree): Promise<void> {
  const totals = { events: 0, letters: 0, lastMs: 0 }
  const show = async (event: TreeEvent, indent: string, branch: string): Promise<void> => {
    totals.events += 1
    totals.lastMs = Math.max(totals.lastMs, event.sinceRootMs)
    await out.line(`${out.paint("dim", indent + branch)}${eventLine(out, event, event.id === asked)}`)
    const below = indent + (branch === "" ? "" : branch.startsWith("├") ? "│  " : "   ")
    const rows = event.reactions.length + event.deadLetters.length + event.effects.length
    for (const [at, reaction] of event.reactions.entries()) {
      await out.line(out.paint("dim", `${below}${corner(at, rows)}${printable(reactionText(reaction))}`))
    }
    for (const [at, { id, agent, reason, error }] of event.deadLetters.entries()) {
      totals.letters += 1
      const text = printable(`dead letter of ${agent}, ${reason}: ${error.code}: ${error.message} (${id})`)
      const branch = corner(event.reactions.length + at, rows)
      await out.line(`${out.paint("dim", below + branch)}${out.paint("red", `✗ ${text}`)}`)
    }
    for (const [at, effect] of event.effects.entries()) {
      await show(effect, below, corner(event.reactions.length + event.deadLetters.length + at, rows))
    }
  }
  await show(root, "", "")
  const letters = totals.letters === 0 ? "" : `, ${counted(totals.letters, "dead letter")}`
  const reactions = reactionsIn(root)
  const used = reactions.length === 0 ? "" : `, ${reactionText(sumOf(reactions))}`
  const traceId = traceIdOf(root)
  const traced = traceId === null ? "" : `, trace ${traceId}`
  await out.line(
    out.paint("dim", `${counted(totals.events, "event")}${letters}, ${duration(totals.lastMs)}${used}${traced}`),
  )
}

const corner = (at: number, rows: number): string => (at === rows - 1 ? "└─ " : "├─ ")

function eventLine(out: Output, event: TreeEvent, asked: boolean): string {
  const { type, producer, key, time, afterMs, id } = event
  const when = afterMs === null ? time : `+${duration(afterMs)}`
  const parts = [
    out.paint("cyan", type),
    printable(key ?? "-"),
    `by ${printable(producer)}`,
    when,
    out.paint("dim", printable(id)),
  ]
  return `${parts.join("  ")}${asked ? out.paint("bold", "  <- this one") : ""}`
}
