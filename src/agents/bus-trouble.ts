import { isMurmurError } from "../errors.js"

/** Whether an error says that the bus is away, or was while it was asked: nobody's failure, and over some time. */
export function isBusTrouble(error: unknown): boolean {
  return isMurmurError(error) && (error.code === "BUS_UNAVAILABLE" || error.code === "BUS_CLOSED")
}
