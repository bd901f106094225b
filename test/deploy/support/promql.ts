/** Metrics as `/metrics` shows them: each name with the labels that its series have. */
export type Exposed = ReadonlyMap<string, ReadonlySet<string>>

/** Reads the text format of Prometheus. */
export function exposedIn(text: string): Exposed {
  const metrics = new Map<string, Set<string>>()
  for (const line of text.split("\n")) {
    const [, name, labels = ""] = /^([a-z_]\w*)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const known = metrics.get(name) ?? new Set()
    for (const [, label = ""] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label)
    metrics.set(name, known)
  }
  return metrics
}

/** Labels that Prometheus itself adds. */
const ADDED = ["job", "instance"]

/** What a query asks for that no node shows: metrics that are none, labels that no metric of the query has. */
export function unknownIn(expr: string, exposed: Exposed): string[] {
  const grouped = [...expr.matchAll(/\b(?:by|on|without) \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/, */))
  const matched = [...expr.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = ""]) => label)
  const bare = expr.replace(/\{[^}]*\}|\b(?:by|on|without) \([^)]*\)|\[[^\]]*\]/g, " ")
  const names = [...bare.matchAll(/\b[a-z]+(?:_\w+)+\b(?! *\()/g)].map(([name]) => name)
  const labels = new Set([...ADDED, ...names.flatMap((name) => [...(exposed.get(name) ?? [])])])
  return [
    ...names.filter((name) => !exposed.has(name)),
    ...[...grouped, ...matched].filter((label) => !labels.has(label)).map((label) => `label ${label}`),
  ]
}
