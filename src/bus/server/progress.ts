/** What is going on while a server is found, fetched or started; for a line on a terminal. */
export interface ServerProgress {
  readonly phase: "download" | "verify" | "unpack" | "start"
  /** One line for people. */
  readonly detail: string
  /** Only in `download`. */
  readonly receivedBytes?: number
  /** Only in `download`, and only when the host says how much there is. */
  readonly totalBytes?: number
}

/** Takes progress. It must not throw. */
export type OnProgress = (progress: ServerProgress) => void
