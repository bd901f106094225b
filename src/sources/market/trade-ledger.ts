import type { SourceState } from "../source.js"

const KEY = "trades"

interface Remembered {
  url: string
  /** Number of the last trade that was stored, by symbol. */
  last: Record<string, number>
}

/**
 * Which trades were seen, and which are stored. Kraken numbers the trades of a symbol one by one, and sends the last 50 when
 * a feed subscribes: what is known of them is left out, and a hole before them says how many were missed.
 */
export class TradeLedger {
  readonly #state: SourceState
  readonly #url: string
  readonly #seen: Map<string, number>
  readonly #stored: Map<string, number>
  #written: number
  #changes = 0

  private constructor(state: SourceState, url: string, last: Record<string, number>) {
    this.#state = state
    this.#url = url
    this.#seen = new Map(Object.entries(last))
    this.#stored = new Map(this.#seen)
    this.#written = 0
  }

  /** Numbers of another server are of no use, so they count only for the address that they came from. */
  static async open(state: SourceState, url: string): Promise<TradeLedger> {
    const remembered = await state.get<Remembered>(KEY)
    return new TradeLedger(state, url, remembered?.url === url ? remembered.last : {})
  }

  /** Whether the trade is new, and how many between the last one and this one never came. */
  see(symbol: string, tradeId: number): { fresh: boolean; missed: number } {
    const last = this.#seen.get(symbol)
    if (last !== undefined && tradeId <= last) return { fresh: false, missed: 0 }
    this.#seen.set(symbol, tradeId)
    return { fresh: true, missed: last === undefined ? 0 : tradeId - last - 1 }
  }

  store(symbol: string, tradeId: number): void {
    this.#stored.set(symbol, tradeId)
    this.#changes += 1
  }

  /** Writes what is stored, if that changed. */
  async write(): Promise<void> {
    const changes = this.#changes
    if (changes === this.#written) return
    await this.#state.put(KEY, { url: this.#url, last: Object.fromEntries(this.#stored) } satisfies Remembered)
    this.#written = changes
  }
}
