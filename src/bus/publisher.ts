/** What the server said of one publish. */
export interface PublishAck {
  /** The event's id. */
  readonly id: string
  readonly type: string
  readonly key: string | undefined
  /** Sequence in the EVENTS stream. */
  readonly seq: number
  /** The id was stored before, inside the dedup window; nothing was stored now. */
  readonly duplicate: boolean
}
