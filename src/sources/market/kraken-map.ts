import type { EventDraft } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { present } from "../present.js"
import { MarketTicker, MarketTrade, type TickerData, type TradeData } from "./events.js"
import type { TickerRow, TradeRow } from "./kraken-protocol.js"

const venue = "kraken"

/** The event of a ticker row. Its id is a fresh one: two equal tickers are two observations. */
export function tickerDraft(row: TickerRow): EventDraft<TickerData> {
  const { symbol, bid, ask, last, timestamp } = row
  const figures = present({
    bidQuantity: row.bid_qty,
    askQuantity: row.ask_qty,
    volume: row.volume,
    vwap: row.vwap,
    low: row.low,
    high: row.high,
    change: row.change,
    changePercent: row.change_pct,
  })
  const options = timestamp === undefined ? {} : { time: new Date(timestamp) }
  return MarketTicker({ venue, symbol, bid, ask, last, ...figures }, options)
}

/** The event of a trade row. Its id is derived from the trade's number: told twice, it is stored once. */
export function tradeDraft(feed: string, row: TradeRow): EventDraft<TradeData> {
  const { symbol, side, price, qty: quantity, ord_type: orderType, trade_id, timestamp } = row
  return MarketTrade(
    { venue, symbol, tradeId: String(trade_id), side, price, quantity, ...present({ orderType }) },
    { id: `kr:${derivedId(feed, symbol, trade_id)}`, time: new Date(timestamp) },
  )
}
