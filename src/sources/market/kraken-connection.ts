import type WebSocket from "ws"
import {
  type Channel,
  type Frame,
  parseFrame,
  subscribeRequest,
  type TickerRow,
  type TradeRow,
} from "./kraken-protocol.js"

/** What a connection is for, and whom it tells. */
export interface ConnectionOptions {
  readonly url: string
  readonly channels: readonly Channel[]
  readonly symbols: readonly string[]
  /** How long nothing may come, and how long connecting and subscribing may each take. */
  readonly stallMs: number
  readonly signal: AbortSignal
  onTicker(row: TickerRow): void
  /** Trades of one frame, oldest first. */
  onTrades(rows: readonly TradeRow[]): void
  onRefused(channel: Channel, symbol: string, message: string): void
  /** All subscriptions were answered, and at least one was granted. */
  onLive(): void
  onMalformed(problem: string): void
  onStatus(system: string): void
}

/** Why a connection ended. */
export type ConnectionEnd =
  | { readonly reason: "stopped" }
  | { readonly reason: "disconnected" | "stalled" | "refused"; readonly message: string }

const FRAME_BYTES_MAX = 4 * 1024 * 1024
const GOODBYE_MS = 250

/**
 * One connection, from opening to its end; it is not used again. It subscribes when it is open, watches that something
 * comes (Kraken sends a heartbeat each second), and can be paused, which stops the reading and with it the watch.
 */
export class KrakenConnection {
  readonly #options: ConnectionOptions
  /** Subscriptions that were not answered yet, by request number. */
  readonly #pending = new Map<number, { channel: Channel; symbols: Set<string> }>()
  #socket: WebSocket | undefined
  #granted = 0
  #frames = 0
  #paused = false
  #over = false
  #stall: NodeJS.Timeout | undefined
  #end: (end: ConnectionEnd) => void = () => {}

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** Connects, and resolves when the connection has ended, whatever the reason. */
  async run(): Promise<ConnectionEnd> {
    // Loaded when a feed connects, so that the command line starts without it.
    const { WebSocket } = await import("ws")
    const { url, stallMs, signal } = this.#options
    if (signal.aborted) return { reason: "stopped" }
    const ended = new Promise<ConnectionEnd>((resolve) => {
      this.#end = resolve
    })
    const socket = new WebSocket(url, {
      handshakeTimeout: stallMs,
      maxPayload: FRAME_BYTES_MAX,
      perMessageDeflate: false,
    })
    this.#socket = socket
    let failure = ""
    socket.on("open", () => this.#subscribe())
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary))
    socket.on("error", (error) => {
      failure = error.message
    })
    socket.on("close", (code) => {
      this.#end({ reason: "disconnected", message: failure || `the connection was closed with code ${code}` })
    })
    const stop = (): void => this.#end({ reason: "stopped" })
    signal.addEventListener("abort", stop, { once: true })
    const end = await ended
    signal.removeEventListener("abort", stop)
    this.#close(end)
    return end
  }

  /** Stops reading until {@link resume}: the venue is held back by TCP. */
  pause(): void {
    this.#paused = true
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket?.resume()
    this.#watch()
  }

  #subscribe(): void {
    const { channels, symbols } = this.#options
    for (const [index, channel] of channels.entries()) {
      this.#pending.set(index + 1, { channel, symbols: new Set(symbols) })
      this.#socket?.send(subscribeRequest(channel, symbols, index + 1))
    }
    if (this.#paused) this.#socket?.pause()
    this.#watch()
  }

  /** Before everything is subscribed the clock runs from the opening; after that from what came last. */
  #watch(): void {
    if (this.#paused || this.#over) return
    clearTimeout(this.#stall)
    this.#stall = setTimeout(() => {
      // When this process was busy for that long, frames wait to be read: they are, before this looks again.
      const before = this.#frames
      setImmediate(() => this.#judge(before))
    }, this.#options.stallMs)
  }

  #judge(framesBefore: number): void {
    if (this.#paused || this.#over) return
    const unanswered = this.#pending.size > 0
    if (!unanswered && this.#frames !== framesBefore) {
      this.#watch()
      return
    }
    const what = unanswered ? "not all subscriptions were answered" : "nothing came"
    this.#end({ reason: "stalled", message: `${what} within ${this.#options.stallMs} ms` })
  }

  #receive(data: WebSocket.RawData, isBinary: boolean): void {
    const frame: Frame = isBinary ? { kind: "malformed", problem: "it is binary" } : parseFrame(data.toString())
    this.#frames += 1
    if (this.#pending.size === 0) this.#stall?.refresh()
    if (frame.kind === "ticker") for (const row of frame.rows) this.#options.onTicker(row)
    else if (frame.kind === "trade") this.#options.onTrades(frame.rows.toSorted((a, b) => a.trade_id - b.trade_id))
    else if (frame.kind === "status") this.#options.onStatus(frame.system)
    else if (frame.kind === "malformed") this.#options.onMalformed(frame.problem)
    else if (frame.kind !== "alive") this.#answered(frame)
    const bad = "bad" in frame ? frame.bad : 0
    if (bad > 0) this.#options.onMalformed(`${bad} of its rows cannot be read`)
  }

  #answered(frame: Extract<Frame, { kind: "subscribed" | "refused" }>): void {
    const request = this.#pending.get(frame.request ?? 0)
    if (request === undefined) return
    // A request that is wrong as a whole is refused without naming a symbol.
    const symbols = frame.symbol === undefined ? [...request.symbols] : [frame.symbol]
    for (const symbol of symbols) {
      if (!request.symbols.delete(symbol)) continue
      if (frame.kind === "subscribed") this.#granted += 1
      else this.#options.onRefused(request.channel, symbol, frame.message)
    }
    if (request.symbols.size === 0) this.#pending.delete(frame.request ?? 0)
    if (this.#pending.size > 0) return
    if (this.#granted === 0) {
      this.#end({ reason: "refused", message: frame.kind === "refused" ? frame.message : "" })
      return
    }
    this.#watch()
    this.#options.onLive()
  }

  #close(end: ConnectionEnd): void {
    this.#over = true
    clearTimeout(this.#stall)
    const socket = this.#socket
    if (socket === undefined) return
    socket.removeAllListeners("message")
    if (end.reason === "stalled") socket.terminate()
    else socket.close(1000)
    setTimeout(() => socket.terminate(), GOODBYE_MS).unref()
  }
}
