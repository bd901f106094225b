/** How much a node can take in at this moment. */
export interface Room {
  /** How many more deliveries could begin at once. */
  free(): number
  /** Called when there may be more than before. One listener. */
  onMore(listener: () => void): void
}
