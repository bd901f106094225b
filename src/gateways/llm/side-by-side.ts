/**
 * Does several things side by side, begun in order, so many at a time. Waits for all of them, also when one fails.
 *
 * @returns their results in order
 * @throws what the first of them, in order, has thrown
 */
export async function sideBySide<T>(works: readonly (() => Promise<T>)[], atATime: number): Promise<T[]> {
  const results = new Array<PromiseSettledResult<T> | undefined>(works.length)
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < works.length) {
      const index = next++
      const [settled] = await Promise.allSettled([works[index]?.() as Promise<T>])
      results[index] = settled
    }
  }
  await Promise.all(Array.from({ length: Math.min(atATime, works.length) }, lane))
  return results.map((result) => {
    if (result?.status === "fulfilled") return result.value
    throw result?.reason
  })
}
