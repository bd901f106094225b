import { z } from "zod"
import { readPath } from "../bus/causal-path.js"
import type { MurmurEvent } from "../bus/event.js"

/** The event that is sent to one agent alone, as it stands in the data of the one that carries it. */
const InboxEvent = z.object({
  id: z.string().min(1),
  source: z.string(),
  type: z.string().min(1),
  time: z.string().refine((text) => !Number.isNaN(Date.parse(text))),
  key: z.string().optional(),
  data: z.unknown().optional(),
  producer: z.string(),
  correlationid: z.string().min(1),
  causationid: z.string().optional(),
  hops: z.int().min(0),
  path: z.unknown().optional(),
  trust: z.enum(["internal", "external"]),
  trace: z.object({ traceparent: z.string(), tracestate: z.string().optional() }).optional(),
  extensions: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
})

/** The event that `carrier` brings, at the carrier's place in the stream; `undefined` when it brings none. */
export function readInboxEvent(carrier: Pick<MurmurEvent, "data" | "seq">): MurmurEvent | undefined {
  const { data } = InboxEvent.safeParse(carrier.data)
  if (data === undefined) return undefined
  const { key, causationid, trace } = data
  const tracestate = trace?.tracestate
  return {
    ...data,
    key,
    causationid,
    path: readPath(Array.isArray(data.path) ? data.path.join("/") : undefined),
    data: data.data ?? null,
    seq: carrier.seq,
    trace: trace && { traceparent: trace.traceparent, ...(tracestate !== undefined && { tracestate }) },
  }
}
