import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { KrakenServer } from "../../../test/support/kraken-server.js"
import { type RecordingOptions, recordSource, until } from "../../../test/support/source-context.js"
import type { FeedFailedData, TradeData } from "./events.js"
import { kraken } from "./kraken.js"
import type { KrakenOptions } from "./kraken-options.js"

let server: KrakenServer
const running: (() => Promise<void>)[] = []

beforeEach(async () => {
  server = await KrakenServer.start()
})
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
  await server.stop()
})

function feed(options: Partial<KrakenOptions> = {}, recording: RecordingOptions = {}) {
  const source = kraken({
    symbols: ["BTC/USD"],
    url: server.url,
    stallMs: 400,
    reconnectMsMin: 5,
    reconnectMsMax: 40,
    ...options,
  })
  const record = recordSource(source, recording)
  const run = source.run?.(record.ctx) ?? Promise.resolve()
  run.catch(() => {})
  const end = async (): Promise<void> => {
    record.stop()
    await run
  }
  running.push(() => end().catch(() => {}))
  const live = (times = 1) => record.logs.filter((line) => line.message === "market feed is live").length >= times
  const trades = () =>
    record.published.filter((d) => d.type === "market.trade").map((d) => (d.data as TradeData).tradeId)
  const failures = () =>
    record.published.filter((d) => d.type === "market.feed.failed").map((d) => d.data as FeedFailedData)
  return { ...record, run, end, live, trades, failures }
}

describe("kraken", () => {
  it("subscribes to each channel of all symbols and publishes tickers and trades by symbol", async () => {
    const it = feed({ symbols: ["BTC/USD", "ETH/USD"] })
    await until("it is live", () => it.live())
    expect(server.requests.map((request) => request.params)).toEqual([
      { channel: "ticker", symbol: ["BTC/USD", "ETH/USD"], snapshot: true },
      { channel: "trade", symbol: ["BTC/USD", "ETH/USD"], snapshot: true },
    ])
    server.ticker("ETH/USD", 3_000)
    server.trades({ symbol: "BTC/USD", id: 7, price: 64_000 })
    await until("both are published", () => it.published.length === 2)
    expect(it.published.find((draft) => draft.type === "market.ticker")).toMatchObject({
      key: "ETH/USD",
      data: { venue: "kraken", symbol: "ETH/USD", bid: 2_999, ask: 3_001, last: 3_000, changePercent: 0.1 },
    })
    expect(it.published.find((draft) => draft.type === "market.trade")).toMatchObject({
      key: "BTC/USD",
      time: "2024-01-02T10:00:00.007Z",
      id: expect.stringMatching(/^kr:/),
      data: { tradeId: "7", side: "buy", price: 64_000, quantity: 0.5, orderType: "market" },
    })
  })

  it("connects and subscribes again when the connection drops, and publishes each trade once", async () => {
    server.history.push({ symbol: "BTC/USD", id: 2 }, { symbol: "BTC/USD", id: 1 })
    const it = feed({ channels: ["trade"] })
    await until("the snapshot is published", () => it.trades().length === 2)
    server.trades({ symbol: "BTC/USD", id: 3 })
    await until("a trade is published", () => it.trades().length === 3)
    server.history.push({ symbol: "BTC/USD", id: 3 }, { symbol: "BTC/USD", id: 4 })
    server.drop()
    await until("it is live again", () => it.live(2))
    await until("the trade made meanwhile is published", () => it.trades().length === 4)
    expect(it.trades()).toEqual(["1", "2", "3", "4"])
    expect(it.repeated).toEqual([])
    expect(it.failures().map((failure) => failure.reason)).toEqual(["disconnected"])
  })

  it("says how many trades it has missed when the snapshot does not reach back far enough", async () => {
    const it = feed({ channels: ["trade"] })
    await until("it is live", () => it.live())
    server.trades({ symbol: "BTC/USD", id: 10 })
    await until("a trade is published", () => it.trades().length === 1)
    server.history.push({ symbol: "BTC/USD", id: 15 })
    server.drop()
    await until("the hole is said", () => it.failures().some((failure) => failure.reason === "missed"))
    expect(it.failures().at(-1)).toMatchObject({ symbol: "BTC/USD", message: expect.stringContaining("4 trades") })
  })

  it("remembers its trades over a restart, but not those of another server", async () => {
    const memory = new Map<string, string>()
    server.history.push({ symbol: "BTC/USD", id: 1 }, { symbol: "BTC/USD", id: 2 })
    const first = feed({ channels: ["trade"] }, { memory })
    await until("the snapshot is published", () => first.trades().length === 2)
    await first.end()
    server.history.push({ symbol: "BTC/USD", id: 3 })
    const second = feed({ channels: ["trade"] }, { memory })
    await until("the new trade is published", () => second.trades().length > 0)
    expect(second.trades()).toEqual(["3"])
    await second.end()
    const other = feed({ channels: ["trade"], url: `${server.url}?other` }, { memory })
    await until("all are published", () => other.trades().length === 3)
  })

  it("connects again when nothing comes any more", async () => {
    const it = feed({ stallMs: 150 })
    await until("it is live", () => it.live())
    server.talking = false
    await until("it has noticed", () => it.failures().some((failure) => failure.reason === "stalled"))
    server.talking = true
    await until("it is live again", () => it.live(2))
    expect(it.failures().map((failure) => failure.reason)).toEqual(["stalled"])
  })

  it("stays connected as long as heartbeats come, though there is no trade", async () => {
    const it = feed({ stallMs: 100 })
    await until("it is live", () => it.live())
    const began = Date.now()
    await until("three times that has passed", () => Date.now() - began > 300)
    expect(server.connections).toBe(1)
  })

  it("waits longer each time while the server is away, and finds it when it is back", async () => {
    const { port } = server
    await server.stop()
    const it = feed()
    const waits = () => it.logs.filter((line) => line.fields.waitMs !== undefined).map((line) => line.fields.waitMs)
    await until("it has tried some times", () => waits().length >= 5)
    expect(waits().every((wait) => (wait as number) >= 2 && (wait as number) <= 40)).toBe(true)
    expect(it.failures().map((failure) => failure.reason)).toEqual(["disconnected"])
    server = await KrakenServer.start({ port })
    await until("it is live", () => it.live())
  })

  it("says which symbol is refused, once, and goes on with the others", async () => {
    server.unknown.add("FOO/BAR")
    const it = feed({ symbols: ["BTC/USD", "FOO/BAR"], channels: ["ticker"] })
    await until("it is live", () => it.live())
    server.drop()
    await until("it is live again", () => it.live(2))
    server.ticker("BTC/USD", 1)
    await until("the other is published", () => it.types().includes("market.ticker"))
    expect(it.failures().filter((failure) => failure.reason === "refused")).toEqual([
      {
        feed: "kraken",
        reason: "refused",
        channel: "ticker",
        symbol: "FOO/BAR",
        message: "Currency pair not supported FOO/BAR",
      },
    ])
  })

  it("fails with MARKET_REFUSED when everything is refused", async () => {
    server.unknown.add("FOO/BAR")
    const it = feed({ symbols: ["FOO/BAR"] })
    await expect(it.run).rejects.toMatchObject({ code: "MARKET_REFUSED" })
  })

  it("counts frames that it cannot read, and goes on", async () => {
    const it = feed()
    await until("it is live", () => it.live())
    const bad = { symbol: "BTC/USD", last: "a lot" }
    for (const frame of ["{", "null", "[]", '"x"', '{"channel":"ticker","data":7}']) server.raw(frame)
    server.raw(Buffer.from([0, 1, 2]))
    server.raw(JSON.stringify({ channel: "ticker", type: "update", data: [bad] }))
    server.raw('{"channel":"news","data":[]}')
    server.raw('{"method":"pong","req_id":1}')
    server.ticker("BTC/USD", 5)
    await until("the good one is published", () => it.published.length === 1)
    expect(server.connections).toBe(1)
    expect(it.logs.filter((line) => line.message.includes("cannot be read"))).toHaveLength(1)
  })

  it("publishes only the latest ticker of a symbol when the bus is slower than the feed", async () => {
    let release = (): void => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const it = feed({ symbols: ["BTC/USD", "ETH/USD"], channels: ["ticker"] }, { onPublish: () => gate })
    await until("it is live", () => it.live())
    for (let last = 1; last <= 100; last++) server.ticker("BTC/USD", last)
    server.ticker("ETH/USD", 1)
    await until("both symbols are being published", () => it.inflight.now === 2)
    release()
    const lasts = () => it.published.filter((d) => d.key === "BTC/USD").map((d) => (d.data as { last: number }).last)
    await until("the latest is published", () => lasts().includes(100))
    expect(lasts()).toHaveLength(2)
  })

  it("drops no trade when the bus is slower: it stops reading at the bound, is not taken for stalled, and goes on in order", async () => {
    let slow = true
    const onPublish = () => (slow ? new Promise<void>((resolve) => setTimeout(resolve, 20)) : undefined)
    const it = feed({ channels: ["trade"], tradesMax: 20, stallMs: 150 }, { onPublish })
    await until("it is live", () => it.live())
    // Some 20 MB, more than sockets hold.
    const COUNT = 5_000
    const orderType = "x".repeat(4_000)
    for (let id = 1; id <= COUNT; id++) server.trades({ symbol: "BTC/USD", id, orderType })
    await until("it waits for the bus", () => it.logs.some((line) => line.message === "market feed waits for the bus"))
    const began = Date.now()
    await until("longer than a stall has passed", () => Date.now() - began > 250)
    expect(it.trades().length).toBeLessThan(100)
    expect(server.unsentBytes).toBeGreaterThan(0)
    slow = false
    await until("all are published", () => it.trades().length === COUNT, 25_000)
    expect(it.trades()).toEqual(Array.from({ length: COUNT }, (_, i) => String(i + 1)))
    expect(it.failures()).toEqual([])
  })

  it("fails when a publish is refused for good", async () => {
    const it = feed({}, { onPublish: () => Promise.reject(new Error("stream full")) })
    await until("it is live", () => it.live())
    server.ticker("BTC/USD", 1)
    await expect(it.run).rejects.toThrow("stream full")
  })

  it("ends cleanly when it is stopped, whatever it is doing", async () => {
    const live = feed()
    await until("it is live", () => live.live())
    await live.end()
    server.talking = false
    const subscribing = feed()
    await until("it has connected", () => server.connections === 2)
    await subscribing.end()
    const unreachable = feed({ url: "ws://127.0.0.1:1", reconnectMsMin: 60_000, reconnectMsMax: 60_000 })
    await until("it waits", () => unreachable.logs.some((line) => line.fields.waitMs !== undefined))
    await unreachable.end()
    await until("no connection is left", () => server.subscriptions.length === 0)
  })

  it("refuses options that make no sense, naming them", () => {
    expect(() => kraken({ symbols: [] })).toThrow("symbols must be a list")
    expect(() => kraken({ symbols: ["BTCUSD"] })).toThrow('has "BTCUSD"')
    expect(() => kraken({ symbols: ["A/B"], channels: ["book" as never] })).toThrow("channels must be some of")
    expect(() => kraken({ symbols: ["A/B"], url: "https://x" })).toThrow("url must begin with")
    expect(() => kraken({ symbols: ["A/B"], stall: 1 } as never)).toThrow('unknown option "stall"')
    expect(() => kraken({ symbols: ["A/B"], tradesMax: 0 })).toThrow("tradesMax must be a number")
  })
})
