import { MurmurError } from "../../errors.js"
import { Backoff } from "../backoff.js"
import { type Lifetime, lifetime, pause, writeRegularly } from "../lifetime.js"
import { defineSource, type SourceContext, type SourceDefinition } from "../source.js"
import { type FeedFailedData, MarketFeedFailed, MarketTicker, MarketTrade } from "./events.js"
import { FeedBuffer } from "./feed-buffer.js"
import { type ConnectionEnd, KrakenConnection } from "./kraken-connection.js"
import { tickerDraft, tradeDraft } from "./kraken-map.js"
import { checkKraken, type KrakenOptions } from "./kraken-options.js"
import type { TradeRow } from "./kraken-protocol.js"
import { TradeLedger } from "./trade-ledger.js"

const WRITE_EVERY_MS = 1_000
const LOG_EVERY = 1_000

/**
 * Kraken's public market data (WebSocket API v2) as `market.ticker` and `market.trade`. It needs no key. It connects again
 * by itself, with growing pauses; a trade that comes twice is published once. On the very first connection the last 50 trades of
 * each symbol come first, with the times at which they were made. What it cannot deliver it says as `market.feed.failed`.
 *
 * @throws MurmurError `SOURCE_OPTION`, `NAME_INVALID`; while it runs `MARKET_REFUSED` when no symbol is granted
 * @example
 * export default kraken({ symbols: ["BTC/USD", "ETH/USD"], channels: ["trade"] })
 */
export function kraken(options: KrakenOptions): SourceDefinition {
  const checked = checkKraken(options)
  return defineSource(checked.name, {
    description: `Kraken: ${checked.symbols.join(", ")}`,
    emits: [MarketTicker, MarketTrade, MarketFeedFailed],
    async run(ctx) {
      const ledger = await TradeLedger.open(ctx.state, checked.url)
      const remembering = writeRegularly(ctx, WRITE_EVERY_MS, () => ledger.write())
      const feed = new Feed(ctx, checked, ledger)
      try {
        await feed.run()
      } finally {
        await feed.stop()
        await remembering.stop()
      }
    },
  })
}

/** The feed over all its connections. */
class Feed {
  readonly #ctx: SourceContext
  readonly #options: Required<KrakenOptions>
  readonly #ledger: TradeLedger
  readonly #life: Lifetime
  readonly #over = new AbortController()
  readonly #backoff: Backoff
  readonly #buffer: FeedBuffer
  readonly #refused = new Set<string>()
  #connection: KrakenConnection | undefined
  #liveSince: number | undefined
  #full = false
  #down = false
  #malformed = 0

  constructor(ctx: SourceContext, options: Required<KrakenOptions>, ledger: TradeLedger) {
    this.#ctx = ctx
    this.#options = options
    this.#ledger = ledger
    this.#life = lifetime(ctx.signal)
    this.#backoff = new Backoff(options.reconnectMsMin, options.reconnectMsMax)
    this.#buffer = new FeedBuffer({
      tradesMax: options.tradesMax,
      publish: async (draft) => void (await ctx.publish(draft)),
      onFull: () => this.#hold(true),
      onRoom: () => this.#hold(false),
      onFailure: this.#life.fail,
    })
  }

  async run(): Promise<void> {
    this.#connectAgainAndAgain().catch(this.#life.fail)
    await this.#life.over
  }

  async stop(): Promise<void> {
    this.#over.abort()
    await this.#buffer.stop()
  }

  async #connectAgainAndAgain(): Promise<void> {
    const signal = AbortSignal.any([this.#ctx.signal, this.#over.signal])
    while (!signal.aborted) {
      const end = await this.#connect(signal)
      if (end.reason === "stopped") return
      if (end.reason === "refused") throw this.#allRefused(end.message)
      // A connection that lasted is no reason to wait longer than the first time.
      if (this.#liveSince !== undefined && performance.now() - this.#liveSince > this.#options.stallMs) {
        this.#backoff.reset()
      }
      const waitMs = this.#backoff.next()
      this.#ctx.log.warn({ source: this.#ctx.name, ...end, waitMs }, "market feed is cut off; connecting again")
      if (!this.#down) await this.#announce({ reason: end.reason, message: end.message })
      this.#down = true
      await pause(waitMs, signal)
    }
  }

  async #connect(signal: AbortSignal): Promise<ConnectionEnd> {
    this.#liveSince = undefined
    this.#connection = new KrakenConnection({
      ...this.#options,
      signal,
      onTicker: (row) => this.#buffer.ticker(row.symbol, tickerDraft(row)),
      onTrades: (rows) => this.#trades(rows),
      onRefused: (channel, symbol, message) => this.#refuse(channel, symbol, message),
      onLive: () => this.#live(),
      onMalformed: (problem) => this.#garbled(problem),
      onStatus: (system) => this.#ctx.log.info({ source: this.#ctx.name, system }, "state of the market's system"),
    })
    const ended = this.#connection.run()
    if (this.#full) this.#connection.pause()
    return ended
  }

  #trades(rows: readonly TradeRow[]): void {
    for (const row of rows) {
      const { fresh, missed } = this.#ledger.see(row.symbol, row.trade_id)
      if (missed > 0) this.#missed(row.symbol, missed)
      if (!fresh) continue
      const stored = (): void => this.#ledger.store(row.symbol, row.trade_id)
      this.#buffer.trade(row.symbol, tradeDraft(this.#ctx.name, row), stored)
    }
  }

  #live(): void {
    this.#liveSince = performance.now()
    this.#down = false
    const { symbols, channels } = this.#options
    this.#ctx.log.info({ source: this.#ctx.name, symbols: symbols.length, channels }, "market feed is live")
  }

  #hold(full: boolean): void {
    this.#full = full
    if (full) this.#connection?.pause()
    else this.#connection?.resume()
    this.#ctx.log.info({ source: this.#ctx.name, full }, full ? "market feed waits for the bus" : "market feed goes on")
  }

  #refuse(channel: string, symbol: string, message: string): void {
    const what = `${channel} ${symbol}`
    // It is asked for again with each connection, and said once.
    if (this.#refused.has(what)) return
    this.#refused.add(what)
    this.#ctx.log.error({ source: this.#ctx.name, channel, symbol, message }, "market feed refuses a subscription")
    void this.#announce({ reason: "refused", message, channel, symbol })
  }

  #missed(symbol: string, count: number): void {
    const message = `${count} trades were made while the feed was not connected`
    this.#ctx.log.warn({ source: this.#ctx.name, symbol, count }, "market feed has missed trades")
    void this.#announce({ reason: "missed", message, channel: "trade", symbol })
  }

  #garbled(problem: string): void {
    this.#malformed += 1
    if (this.#malformed % LOG_EVERY !== 1) return
    this.#ctx.log.warn(
      { source: this.#ctx.name, problem, count: this.#malformed },
      "market feed sent what cannot be read",
    )
  }

  async #announce(data: Omit<FeedFailedData, "feed">): Promise<void> {
    try {
      await this.#ctx.publish(MarketFeedFailed({ feed: this.#ctx.name, ...data }))
    } catch (error) {
      this.#life.fail(error)
    }
  }

  #allRefused(message: string): MurmurError {
    const { symbols, channels, url } = this.#options
    return new MurmurError(
      `Cannot follow any market at ${url}: ${channels.join(" and ")} of ${symbols.join(", ")} were refused: ${message}. Name markets as Kraken does, such as "BTC/USD"`,
      { code: "MARKET_REFUSED", details: { symbols, channels } },
    )
  }
}
