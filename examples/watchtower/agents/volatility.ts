import { defineAgent, tumbling } from "murmur"
import { filter, map } from "rxjs"
import { Tick, Volatile } from "../events.js"

/** The replay plays a month in half a second, so these are windows of a year. */
const WINDOW_MS = 6_000
const RETURNS_MIN = 6
const ALERT_ABOVE = 0.6

type Price = typeof Tick extends (data: infer D) => unknown ? D : never

/**
 * Raises an alert when a price jumps about. RxJS, one stream per symbol; the windows are murmur's own, in event time:
 * if the process is killed in the middle of one, it is rebuilt from history and its alert is published once.
 */
export default defineAgent("volatility", {
  description: "Raises an alert when a price moves more than usual, by windows per symbol",
  on: [Tick],
  emits: [Volatile],
  react: (ticks) =>
    ticks.pipe(
      tumbling(WINDOW_MS),
      map(({ events }) => events.map(({ data }) => data)),
      filter((prices) => prices.length > RETURNS_MIN && isInOrder(prices)),
      map(measure),
      filter(({ volatility }) => volatility > ALERT_ABOVE),
      map(Volatile),
    ),
})

/** When the replay starts over, a window holds the end and the beginning: that is no price that jumped. */
function isInOrder(prices: readonly Price[]): boolean {
  return prices.every(({ day }, at) => at === 0 || day > (prices[at - 1]?.day ?? ""))
}

/** Yearly volatility of monthly prices. */
function measure(prices: readonly Price[]) {
  const returns = prices.slice(1).map(({ price }, at) => Math.log(price / (prices[at]?.price ?? price)))
  const mean = returns.reduce((sum, value) => sum + value, 0) / returns.length
  const variance = returns.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (returns.length - 1)
  const volatility = Number(Math.sqrt(variance * 12).toFixed(3))
  const [low, high] = [Math.min, Math.max].map((pick) => pick(...prices.map(({ price }) => price))) as [number, number]
  const [from = "", to = ""] = [prices[0]?.day, prices.at(-1)?.day]
  const title = `Volatility ${Math.round(volatility * 100)} %, between ${low} and ${high}, ${from.slice(0, 7)} to ${to.slice(0, 7)}`
  return { symbol: prices[0]?.symbol ?? "", volatility, low, high, from, to, title }
}
