import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"

interface Subscribe {
  method: string
  params: { channel: string; symbol: string[] }
  req_id?: number
}

/** A trade as a test names it. */
export interface FakeTrade {
  symbol: string
  id: number
  price?: number
  /** Any text; a long one makes the frame large. */
  orderType?: string
}

/** A server that speaks as much of Kraken's WebSocket API v2 as its public market channels need. */
export class KrakenServer {
  readonly requests: Subscribe[] = []
  /** Symbols that it does not know. */
  readonly unknown = new Set<string>()
  /** Trades that a new subscription gets as its snapshot. */
  readonly history: FakeTrade[] = []
  /** False: connections are accepted and nothing is ever said. */
  talking = true
  connections = 0
  readonly port: number
  readonly #server: WebSocketServer
  readonly #subscriptions = new Map<WebSocket, Set<string>>()
  readonly #heartbeat: NodeJS.Timeout

  private constructor(server: WebSocketServer, heartbeatMs: number) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on("connection", (socket) => this.#welcome(socket))
    this.#heartbeat = setInterval(() => this.raw('{"channel":"heartbeat"}'), heartbeatMs)
  }

  static async start(options: { port?: number; heartbeatMs?: number } = {}): Promise<KrakenServer> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: options.port ?? 0 })
    await new Promise((resolve, reject) => server.once("listening", resolve).once("error", reject))
    return new KrakenServer(server, options.heartbeatMs ?? 20)
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/v2`
  }

  /** `ticker BTC/USD` for each subscription of the connections that are open. */
  get subscriptions(): string[] {
    return [...this.#subscriptions.values()].flatMap((names) => [...names]).sort()
  }

  /** Bytes that wait because somebody does not read. */
  get unsentBytes(): number {
    return [...this.#server.clients].reduce((sum, socket) => sum + socket.bufferedAmount, 0)
  }

  ticker(symbol: string, last: number): void {
    const row = {
      ...{ symbol, bid: last - 1, bid_qty: 2, ask: last + 1, ask_qty: 3, last },
      ...{ volume: 100, vwap: last, low: last - 5, high: last + 5, change: 1, change_pct: 0.1 },
    }
    this.#send(`ticker ${symbol}`, { channel: "ticker", type: "update", data: [row] })
  }

  trades(...trades: FakeTrade[]): void {
    const symbol = trades[0]?.symbol ?? ""
    this.#send(`trade ${symbol}`, { channel: "trade", type: "update", data: trades.map(tradeRow) })
  }

  /** Sends a frame as it is to everybody. */
  raw(text: string | Buffer): void {
    if (!this.talking) return
    for (const socket of this.#server.clients) socket.send(text)
  }

  /** Cuts all connections without a goodbye. */
  drop(): void {
    for (const socket of this.#server.clients) socket.terminate()
  }

  async stop(): Promise<void> {
    clearInterval(this.#heartbeat)
    this.drop()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #welcome(socket: WebSocket): void {
    this.connections += 1
    this.#subscriptions.set(socket, new Set())
    socket.on("close", () => this.#subscriptions.delete(socket))
    const system = { system: "online", api_version: "v2", connection_id: 1, version: "2.0.0" }
    this.#reply(socket, { channel: "status", type: "update", data: [system] })
    socket.on("message", (data) => this.#request(socket, JSON.parse(data.toString()) as Subscribe))
  }

  #request(socket: WebSocket, request: Subscribe): void {
    this.requests.push(request)
    const { channel, symbol: symbols } = request.params
    const times = { time_in: new Date().toISOString(), time_out: new Date().toISOString() }
    for (const symbol of symbols) {
      const head = { method: "subscribe", req_id: request.req_id, ...times }
      if (this.unknown.has(symbol)) {
        this.#reply(socket, { ...head, success: false, error: `Currency pair not supported ${symbol}`, symbol })
        continue
      }
      if (this.talking) this.#subscriptions.get(socket)?.add(`${channel} ${symbol}`)
      this.#reply(socket, { ...head, success: true, result: { channel, symbol, snapshot: true } })
      const data = this.history.filter((trade) => trade.symbol === symbol).map(tradeRow)
      if (channel === "trade" && data.length > 0) this.#reply(socket, { channel, type: "snapshot", data })
    }
  }

  #send(subscription: string, frame: object): void {
    for (const [socket, names] of this.#subscriptions) if (names.has(subscription)) this.#reply(socket, frame)
  }

  #reply(socket: WebSocket, frame: object): void {
    if (this.talking) socket.send(JSON.stringify(frame))
  }
}

function tradeRow({ symbol, id, price = 100, orderType = "market" }: FakeTrade): object {
  const timestamp = new Date(1_704_189_600_000 + id).toISOString().replace("Z", "123Z")
  return { symbol, side: "buy", price, qty: 0.5, ord_type: orderType, trade_id: id, timestamp }
}
