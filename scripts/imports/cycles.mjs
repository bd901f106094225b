/**
 * The import cycles of a graph: for each knot of files that import one another, its shortest cycle.
 *
 * @param {Map<string, Map<string, number>>} graph file -> (imported file -> line)
 * @returns {{ path: string[], line: number }[]} `path` starts and ends with the same file; `line` is where it imports the next
 */
export function findCycles(graph) {
  const cycles = []
  const done = new Set()
  for (const start of [...graph.keys()].sort()) {
    if (done.has(start)) continue
    const path = shortestWayBack(graph, start)
    if (path === undefined) continue
    // A knot is reported once: whatever lies on a cycle with `start` is part of it.
    for (const file of path) done.add(file)
    cycles.push({ path, line: graph.get(path[0]).get(path[1]) })
  }
  return cycles
}

/** Breadth first from `start` until an import leads back to it. */
function shortestWayBack(graph, start) {
  const cameFrom = new Map([[start, undefined]])
  const queue = [start]
  for (const file of queue) {
    for (const next of graph.get(file)?.keys() ?? []) {
      if (next === start) return [...wayTo(cameFrom, file), start]
      if (cameFrom.has(next)) continue
      cameFrom.set(next, file)
      queue.push(next)
    }
  }
  return undefined
}

function wayTo(cameFrom, file) {
  const way = []
  for (let at = file; at !== undefined; at = cameFrom.get(at)) way.unshift(at)
  return way
}
