import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { replay } from "murmur"
import { Tick } from "../events.js"

const SYMBOLS = ["AAPL", "AMZN", "GOOG", "IBM", "MSFT"]
const MONTH_MS = 30.44 * 24 * 60 * 60 * 1_000

// Monthly prices of five stocks, 2000 to 2010: the end of the dot-com years, and 2008. Read where npm put them.
const packaged = pathToFileURL(createRequire(import.meta.url).resolve("vega-datasets"))
const file = new URL("../data/stocks.csv", packaged)

/** Real prices, a month in half a second, over and over. Every start plays them from the beginning, as if it were now. */
export default SYMBOLS.map((symbol) =>
  replay({
    name: `prices-${symbol.toLowerCase()}`,
    file,
    format: "csv",
    event: Tick,
    // The file holds one symbol after the other. Rows of others take no time and make no event.
    timeField: (row) => (row.symbol === symbol ? row.date : "Jan 1 2000"),
    map: (row) =>
      row.symbol === symbol
        ? { symbol, price: Number(row.price), day: new Date(`${row.date} UTC`).toISOString().slice(0, 10) }
        : undefined,
    speed: MONTH_MS / 500,
    timeline: "now",
    loop: true,
    resume: false,
  }),
)
