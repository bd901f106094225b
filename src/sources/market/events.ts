import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"

const Amount = z.number().finite()

/** The best bid and ask of a market, its last trade, and its last 24 hours. */
export const TickerData = z.object({
  /** Where it is traded: `kraken`. */
  venue: z.string().min(1),
  /** `BTC/USD`. It is the event's key. */
  symbol: z.string().min(1),
  bid: Amount,
  bidQuantity: Amount.optional(),
  ask: Amount,
  askQuantity: Amount.optional(),
  /** Price of the last trade. */
  last: Amount,
  /** Traded in 24 hours, in the base currency. */
  volume: Amount.optional(),
  /** Average price of the last 24 hours, weighted by volume. */
  vwap: Amount.optional(),
  low: Amount.optional(),
  high: Amount.optional(),
  /** Against 24 hours ago, in the quote currency. */
  change: Amount.optional(),
  changePercent: Amount.optional(),
})
export type TickerData = z.infer<typeof TickerData>

/** One trade. */
export const TradeData = z.object({
  venue: z.string().min(1),
  symbol: z.string().min(1),
  /** The venue's own number, unique within the symbol. */
  tradeId: z.string().min(1),
  /** Whether the taker bought or sold. */
  side: z.enum(["buy", "sell"]),
  price: Amount,
  quantity: Amount,
  orderType: z.string().optional(),
})
export type TradeData = z.infer<typeof TradeData>

/** Why a feed does not say all that it should. */
export const FeedFailedData = z.object({
  /** Name of the source. It is the event's key. */
  feed: z.string().min(1),
  /**
   * `refused`: the venue does not give this channel of this symbol. `disconnected`, `stalled`: nothing comes until the feed
   * has connected again, which it goes on trying. `missed`: trades were made while it was not connected, and are lost.
   */
  reason: z.enum(["refused", "disconnected", "stalled", "missed"]),
  message: z.string(),
  channel: z.string().optional(),
  symbol: z.string().optional(),
})
export type FeedFailedData = z.infer<typeof FeedFailedData>

const key = (data: { symbol: string }): string => data.symbol

/** The best bid and ask, or the last price, of a market changed. */
export const MarketTicker = defineEvent("market.ticker", TickerData, {
  key,
  description: "Best bid and ask, last price and 24-hour figures of a market",
})
/** A trade was made. */
export const MarketTrade = defineEvent("market.trade", TradeData, { key, description: "A trade was made" })
/** A market feed does not say all that it should. */
export const MarketFeedFailed = defineEvent("market.feed.failed", FeedFailedData, {
  key: (data) => data.feed,
  description: "A market feed was refused, cut off, or has missed trades",
})
