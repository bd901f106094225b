import type { Selection } from "../node/selection.js"
import { type Labels, labelProblem } from "../router/labels.js"
import { usageError, wholeNumber } from "./usage.js"

/** What `murmur up` was told of what it is to host. */
export interface HostingOptions {
  readonly agents?: readonly string[]
  readonly label?: readonly (readonly [key: string, value: string])[]
}

/**
 * Which agents and sources a node hosts, by its command line, else by `MURMUR_AGENTS` and `MURMUR_LABELS`. A label of the
 * command line replaces the one of the same key.
 *
 * @throws MurmurError `USAGE`
 */
export function selectionOf({ agents, label: given = [] }: HostingOptions, env: NodeJS.ProcessEnv): Selection {
  const named = env.MURMUR_AGENTS ? nameList("MURMUR_AGENTS")(env.MURMUR_AGENTS) : undefined
  return { names: agents ?? named, labels: { ...labelsIn(env.MURMUR_LABELS ?? ""), ...Object.fromEntries(given) } }
}

/** Reads how long what runs may take when the node stops. @throws MurmurError `USAGE` */
export function graceSeconds(option: string): (text: string) => number {
  return wholeNumber(option, 0, 86_400)
}

/** Reads names or patterns with commas in between. @throws MurmurError `USAGE` */
export function nameList(option: string): (text: string) => string[] {
  return (text) => {
    const names = text.split(",").map((name) => name.trim())
    if (names.every((name) => /^[-\w*]+$/.test(name))) return names
    throw usageError(
      `${option} must be names or patterns with commas in between (triage,ci-*), is ${JSON.stringify(text)}`,
    )
  }
}

/** Reads one label. @throws MurmurError `USAGE` */
export function label(option: string): (text: string) => [key: string, value: string] {
  return (text) => {
    const at = text.indexOf("=")
    const [key, value] = [text.slice(0, at).trim(), text.slice(at + 1).trim()]
    if (at < 0) throw usageError(`${option} must be key=value, is ${JSON.stringify(text)}`)
    const problem = labelProblem(key, value)
    if (problem !== undefined) throw usageError(`${option}: ${problem}`)
    return [key, value]
  }
}

function labelsIn(text: string): Labels {
  const labels = text.split(",").filter((each) => each.trim() !== "")
  return Object.fromEntries(labels.map(label("MURMUR_LABELS")))
}
