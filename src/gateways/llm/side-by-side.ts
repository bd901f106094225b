/**
 * Does several things side by side, begun in order, so many at a time. When one fails no other is begun, and those under way
 * are not waited for: it may be a day until a person has answered.
 *
 * @returns their results in order
 * @throws what the first that failed has thrown
 */
export async function sideBySide<T>(works: readonly (() => Promise<T>)[], atATime: number): Promise<T[]> {
  const results: T[] = []
  const left = works.entries()
  let failed = false
  const lane = async (): Promise<void> => {
    for (const [index, work] of left) {
      if (failed) return
      try {
        results[index] = await work()
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atATime, works.length) }, lane))
  return results
}
