/**
 * Waits for work, but not for ever. The work goes on when its time is up.
 *
 * @param ms how long to wait, in milliseconds
 * @returns whether it was done in time; it may have failed
 */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const done = work.then(
    () => true,
    () => true,
  )
  const inTime = await Promise.race([done, late])
  clearTimeout(timer)
  return inTime
}
