import { once } from "node:events"

/** The task that the parent process gave this one. */
export async function readTask<T>(): Promise<T> {
  const [task] = await once(process, "message")
  return task as T
}

export function tell(message: object): void {
  process.send?.(message)
}

/** Resolves when the parent asks this process to stop, or is gone. */
export function untilStopped(): Promise<void> {
  return new Promise((stop) => {
    process.on("message", (message) => {
      if ((message as { stop?: boolean }).stop === true) stop()
    })
    process.once("disconnect", () => stop())
  })
}
