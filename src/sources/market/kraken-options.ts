import { checkKnown, checkRange, optionError, show } from "../options.js"
import type { Channel } from "./kraken-protocol.js"

/** Options of {@link kraken}. */
export interface KrakenOptions {
  /** Name of the source; default `kraken`. */
  readonly name?: string
  /** Markets as Kraken's v2 names them: `BTC/USD`. 1 to 500. */
  readonly symbols: readonly string[]
  /** Default both: `ticker` for prices as they change, `trade` for each trade. */
  readonly channels?: readonly Channel[]
  /** Default `wss://ws.kraken.com/v2`. */
  readonly url?: string
  /** How long nothing may come, in milliseconds, before the feed connects again. Kraken sends something each second. Default 10,000. */
  readonly stallMs?: number
  /** Shortest pause before connecting again, in milliseconds; it doubles each time, up to the longest. Default 1,000. */
  readonly reconnectMsMin?: number
  /** Longest pause before connecting again, in milliseconds. Default 60,000. */
  readonly reconnectMsMax?: number
  /** Trades that may wait to be published before the feed stops reading. Default 10,000. */
  readonly tradesMax?: number
}

const CHANNELS: readonly Channel[] = ["ticker", "trade"]
const KNOWN = [
  ...["name", "symbols", "channels", "url"],
  ...["stallMs", "reconnectMsMin", "reconnectMsMax", "tradesMax"],
]
const SYMBOL = /^[^\s/]{1,20}\/[^\s/]{1,20}$/

/** @throws MurmurError `SOURCE_OPTION` */
export function checkKraken(options: KrakenOptions): Required<KrakenOptions> {
  const { name = "kraken", symbols, channels = CHANNELS, url = "wss://ws.kraken.com/v2" } = options
  checkKnown(name, options, KNOWN)
  const number = (option: keyof KrakenOptions, fallback: number, max: number): number =>
    checkRange(name, option, options[option] ?? fallback, 1, max)
  if (!Array.isArray(symbols) || symbols.length < 1 || symbols.length > 500) {
    throw optionError(name, `symbols must be a list of 1 to 500 markets such as "BTC/USD", is ${show(symbols)}`)
  }
  const odd = symbols.find((symbol) => typeof symbol !== "string" || !SYMBOL.test(symbol))
  if (odd !== undefined) throw optionError(name, `symbols must be markets such as "BTC/USD", has ${show(odd)}`)
  if (!Array.isArray(channels) || channels.length === 0 || channels.some((channel) => !CHANNELS.includes(channel))) {
    throw optionError(name, `channels must be some of ${CHANNELS.join(", ")}, is ${show(channels)}`)
  }
  if (!/^wss?:$/.test(URL.canParse(url) ? new URL(url).protocol : "")) {
    throw optionError(name, `url must begin with wss:// or ws://, is ${show(url)}`)
  }
  return {
    ...{ name, url, symbols: [...new Set(symbols)], channels: [...new Set(channels)] },
    stallMs: number("stallMs", 10_000, 600_000),
    reconnectMsMin: number("reconnectMsMin", 1_000, 600_000),
    reconnectMsMax: number("reconnectMsMax", 60_000, 3_600_000),
    tradesMax: number("tradesMax", 10_000, 1_000_000),
  }
}
