/** A number that was measured several times. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly runs: number
}

export function spread(values: readonly number[]): Spread {
  return { median: percentile(values, 50), min: Math.min(...values), max: Math.max(...values), runs: values.length }
}

/** The value below which `percent` of the values lie, interpolated. `NaN` of nothing. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = ((sorted.length - 1) * percent) / 100
  const low = sorted[Math.floor(place)] ?? Number.NaN
  const high = sorted[Math.ceil(place)] ?? Number.NaN
  return low + (high - low) * (place - Math.floor(place))
}

/**
 * How `a` compares with `b`, round by round: what disturbs a round disturbs both of its runs, so the median of the
 * rounds' ratios says more than the ratio of two medians.
 */
export function ratio(a: readonly number[], b: readonly number[]): Spread {
  return spread(a.slice(0, b.length).map((value, round) => value / (b[round] ?? Number.NaN)))
}
