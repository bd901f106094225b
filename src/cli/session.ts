import { checkName } from "../bus/subjects.js"
import { type CommitView, diffSession, readSession, type SessionPoint } from "../node/session-view.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import type { Output } from "./output.js"
import { counted, printable, printableLines, shortJson, usageText } from "./text.js"
import { checkedArgument, usageError } from "./usage.js"

/** Options of `murmur session`. */
export interface SessionOptions {
  at?: SessionPoint
  diff?: { from: SessionPoint; to: SessionPoint }
}

/** A long session is read whole. */
const DEADLINE_MS = 120_000
/** People see the newest commits; programs get all. */
const SHOWN_MAX = 20

/** `murmur session <agent> [key]`: state and commits of a session, as of any point of its log. */
export async function session(cli: Cli, [agent, key]: [string, string?], options: SessionOptions): Promise<void> {
  checkedArgument(() => checkName(agent, "agent"))
  if (options.at !== undefined && options.diff !== undefined) throw usageError("--at and --diff exclude each other")
  if (options.diff !== undefined) return showDiff(cli, agent, key, options.diff)
  const at = options.at ?? "end"
  const read = (...[bus, signal]: Parameters<Parameters<typeof withMesh>[1]>) =>
    readSession(bus, agent, key, at, signal)
  const view = await withMesh(cli.options, read, { deadlineMs: DEADLINE_MS })
  if (cli.options.json) return cli.out.json(view)
  const { out } = cli
  await out.line(
    `${out.paint("bold", printable(`${agent} ${key ?? "_"}`))}  as of ${view.seq}, ${counted(view.commits.length, "commit")}`,
  )
  await out.line(printableLines(JSON.stringify(view.state, null, 2) ?? "nothing yet"))
  await showCommits(out, view.commits)
}

async function showDiff(
  cli: Cli,
  agent: string,
  key: string | undefined,
  { from, to }: { from: SessionPoint; to: SessionPoint },
): Promise<void> {
  const read = (...[bus, signal]: Parameters<Parameters<typeof withMesh>[1]>) =>
    diffSession(bus, agent, key, from, to, signal)
  const diff = await withMesh(cli.options, read, { deadlineMs: DEADLINE_MS })
  if (cli.options.json) return cli.out.json({ agent, key: key ?? null, ...diff })
  const { out } = cli
  await out.line(
    `${out.paint("bold", printable(`${agent} ${key ?? "_"}`))}  from ${diff.from} to ${diff.to}, ${counted(diff.commits.length, "commit")}`,
  )
  for (const change of diff.changes) {
    const path = change[0].join(".") || "state"
    const value = change.length === 1 ? out.paint("red", "removed") : out.paint("green", shortJson(change[1], 120))
    await out.line(`  ${printable(path)}  ${value}`)
  }
  await showCommits(out, diff.commits)
}

async function showCommits(out: Output, commits: readonly CommitView[]): Promise<void> {
  if (commits.length > SHOWN_MAX) await out.line(out.paint("dim", `... ${commits.length - SHOWN_MAX} earlier`))
  for (const { seq, at, cause, entries, outputs, usage } of commits.slice(-SHOWN_MAX)) {
    await out.line(
      `${out.paint("dim", `${seq}  ${at}`)}  ${printable(cause.type)}  ${out.paint("dim", printable(cause.id))}`,
    )
    if (usage !== undefined) await out.line(out.paint("dim", `    ${usageText(usage)}`))
    for (const { name, data } of entries) await out.line(`    ${printable(name)} ${shortJson(data, 100)}`)
    for (const { type, key, id } of outputs) {
      await out.line(`    -> ${printable(`${type} ${key ?? "-"}`)}  ${out.paint("dim", printable(id))}`)
    }
  }
}
