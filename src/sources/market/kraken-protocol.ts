import { z } from "zod"

/** A channel of Kraken's public feed. */
export type Channel = "ticker" | "trade"

/** What a frame of the WebSocket API v2 says, as far as a feed cares. */
export type Frame =
  | { readonly kind: "ticker"; readonly rows: readonly TickerRow[]; readonly bad: number }
  | { readonly kind: "trade"; readonly rows: readonly TradeRow[]; readonly bad: number }
  | { readonly kind: "subscribed"; readonly request: number | undefined; readonly symbol: string | undefined }
  | {
      readonly kind: "refused"
      readonly request: number | undefined
      readonly symbol: string | undefined
      readonly message: string
    }
  | { readonly kind: "status"; readonly system: string }
  /** Heartbeats, pongs, and what newer versions may add. */
  | { readonly kind: "alive" }
  | { readonly kind: "malformed"; readonly problem: string }

const Figure = z.number().finite()
const Maybe = Figure.optional().catch(undefined)

const TickerRow = z.object({
  symbol: z.string().min(1),
  bid: Figure,
  bid_qty: Maybe,
  ask: Figure,
  ask_qty: Maybe,
  last: Figure,
  volume: Maybe,
  vwap: Maybe,
  low: Maybe,
  high: Maybe,
  change: Maybe,
  change_pct: Maybe,
  timestamp: z.iso.datetime({ offset: true }).optional().catch(undefined),
})
export type TickerRow = z.infer<typeof TickerRow>

const TradeRow = z.object({
  symbol: z.string().min(1),
  side: z.enum(["buy", "sell"]),
  price: Figure,
  qty: Figure,
  ord_type: z.string().optional().catch(undefined),
  trade_id: z.number().int(),
  timestamp: z.iso.datetime({ offset: true }),
})
export type TradeRow = z.infer<typeof TradeRow>

const Reply = z.object({
  method: z.literal("subscribe"),
  success: z.boolean(),
  req_id: z.number().optional().catch(undefined),
  symbol: z.string().optional().catch(undefined),
  error: z.string().optional().catch(undefined),
  result: z.object({ symbol: z.string().optional() }).optional().catch(undefined),
})
const Data = z.object({ channel: z.enum(["ticker", "trade"]), data: z.array(z.unknown()) })
const Status = z.object({ channel: z.literal("status"), data: z.array(z.object({ system: z.string() })).min(1) })
const Other = z.object({ channel: z.string() }).or(z.object({ method: z.string() }))

/** The request for a channel of some symbols. Each symbol is answered on its own, with the request's number. */
export function subscribeRequest(channel: Channel, symbols: readonly string[], request: number): string {
  return JSON.stringify({ method: "subscribe", params: { channel, symbol: symbols, snapshot: true }, req_id: request })
}

/** Reads a frame. Never throws: what cannot be read is `malformed`, and a bad row costs that row only. */
export function parseFrame(text: string): Frame {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { kind: "malformed", problem: "it is no JSON" }
  }
  const data = Data.safeParse(json)
  if (data.success) {
    return data.data.channel === "ticker"
      ? { kind: "ticker", ...parseRows(TickerRow, data.data.data) }
      : { kind: "trade", ...parseRows(TradeRow, data.data.data) }
  }
  const reply = Reply.safeParse(json)
  if (reply.success) return readReply(reply.data)
  const status = Status.safeParse(json)
  if (status.success) return { kind: "status", system: status.data.data[0]?.system ?? "unknown" }
  const claims = z.object({ channel: z.enum(["ticker", "trade"]) }).safeParse(json).success
  if (!claims && Other.safeParse(json).success) return { kind: "alive" }
  return { kind: "malformed", problem: "it is no message of the WebSocket API v2" }
}

function readReply({ success, req_id: request, error, result, symbol: refused }: z.infer<typeof Reply>): Frame {
  const symbol = result?.symbol ?? refused
  if (success) return { kind: "subscribed", request, symbol }
  return { kind: "refused", request, symbol, message: error ?? "no reason given" }
}

function parseRows<T>(schema: z.ZodType<T>, values: readonly unknown[]): { rows: T[]; bad: number } {
  const rows = values.flatMap((value) => {
    const row = schema.safeParse(value)
    return row.success ? [row.data] : []
  })
  return { rows, bad: values.length - rows.length }
}
