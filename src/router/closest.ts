const CLOSEST_MAX = 3

/** The names that somebody who wrote `name` probably meant, nearest first, at most three. */
export function closest(name: string, names: readonly string[]): string[] {
  const reach = Math.max(1, Math.floor(name.length / 3))
  return names
    .map((candidate) => ({ candidate, far: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, far }) => far <= reach || (name.length >= 3 && candidate.includes(name)))
    .sort((a, b) => a.far - b.far || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, CLOSEST_MAX)
    .map(({ candidate }) => candidate)
}

/** Levenshtein distance: how many characters must be typed, removed or replaced. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, x] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, y] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (x === y ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
