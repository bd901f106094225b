import type { EventDraft } from "../../bus/event.js"

/** What a {@link FeedBuffer} works with. */
export interface FeedBufferOptions {
  /** Trades that may wait, over all symbols, before the feed is paused. */
  readonly tradesMax: number
  publish(draft: EventDraft): Promise<void>
  /** No more trades, please. */
  onFull(): void
  /** Half of them are gone: go on. */
  onRoom(): void
  /** A publish failed for good; nothing is published after that. */
  onFailure(error: unknown): void
}

interface Lane {
  readonly trades: { draft: EventDraft; acked: () => void }[]
  ticker: EventDraft | undefined
}

/**
 * Between a feed and a bus that may be slower: each symbol is published in order, one at a time, symbols side by side.
 * Of tickers only the latest of each symbol is worth waiting for; no trade is dropped, so a full buffer pauses the feed.
 */
export class FeedBuffer {
  readonly #options: FeedBufferOptions
  readonly #lanes = new Map<string, Lane>()
  #trades = 0
  #full = false
  #stopped = false
  #idle: (() => void) | undefined

  constructor(options: FeedBufferOptions) {
    this.#options = options
  }

  /** Replaces the ticker of the symbol that waits, if one does. */
  ticker(symbol: string, draft: EventDraft): void {
    this.#lane(symbol, (lane) => {
      lane.ticker = draft
    })
  }

  /** @param acked called when the trade is stored */
  trade(symbol: string, draft: EventDraft, acked: () => void): void {
    this.#trades += 1
    this.#lane(symbol, (lane) => lane.trades.push({ draft, acked }))
    if (this.#full || this.#trades < this.#options.tradesMax) return
    this.#full = true
    this.#options.onFull()
  }

  /** Takes nothing more from what waits; resolves when what is being published is done. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#lanes.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
  }

  #lane(symbol: string, put: (lane: Lane) => void): void {
    if (this.#stopped) return
    const busy = this.#lanes.get(symbol)
    const lane = busy ?? { trades: [], ticker: undefined }
    put(lane)
    if (busy !== undefined) return
    this.#lanes.set(symbol, lane)
    void this.#drain(symbol, lane)
  }

  async #drain(symbol: string, lane: Lane): Promise<void> {
    try {
      // In turns, so that a flood of trades does not hold the ticker back.
      while (!this.#stopped && (lane.trades.length > 0 || lane.ticker !== undefined)) {
        await this.#publishTrade(lane)
        const { ticker } = lane
        lane.ticker = undefined
        if (ticker !== undefined && !this.#stopped) await this.#options.publish(ticker)
      }
    } catch (error) {
      this.#stopped = true
      this.#options.onFailure(error)
    } finally {
      this.#lanes.delete(symbol)
      if (this.#lanes.size === 0) this.#idle?.()
    }
  }

  async #publishTrade(lane: Lane): Promise<void> {
    const trade = lane.trades.shift()
    if (trade === undefined) return
    await this.#options.publish(trade.draft)
    trade.acked()
    this.#trades -= 1
    if (!this.#full || this.#trades > this.#options.tradesMax / 2) return
    this.#full = false
    this.#options.onRoom()
  }
}
