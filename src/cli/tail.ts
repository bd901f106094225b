import { decode } from "../bus/decode.js"
import { type MurmurEvent, toCloudEvent } from "../bus/event.js"
import { readStream, type StreamPosition } from "../bus/reader.js"
import { streamInfo } from "../bus/streams.js"
import { MeshNames } from "../bus/subjects.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"
import { printable, shortJson } from "./text.js"
import { checkedArgument, usageError } from "./usage.js"

/** Options of `murmur tail`. */
export interface TailOptions {
  since?: Date
  fromSeq?: number
  count?: number
}

/** `murmur tail [pattern]`: history when asked for, then live, until stopped. */
export async function tail(cli: Cli, [pattern = ">"]: [string?], options: TailOptions): Promise<void> {
  if (options.since !== undefined && options.fromSeq !== undefined) {
    throw usageError("--since and --from-seq exclude each other")
  }
  const stopping = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort())
  const filter = checkedArgument(() => new MeshNames(cli.options.mesh).storedFilter(pattern))
  await withMesh(
    cli.options,
    async (bus) => {
      const stream = bus.names.events
      const from = options.since === undefined ? { seq: options.fromSeq ?? 0 } : { time: options.since }
      const start = "seq" in from && from.seq === 0 ? await afterLast() : from
      async function afterLast(): Promise<StreamPosition> {
        return { seq: ((await streamInfo(bus.link.manager, stream))?.state.last_seq ?? 0) + 1 }
      }
      let left = options.count ?? Number.POSITIVE_INFINITY
      for await (const message of readStream(bus.link, { stream, filter, from: start, signal: stopping.signal })) {
        const decoded = decode(bus.names, message)
        if (!decoded.ok) {
          warn(`left out message ${message.seq}, which is no event: ${decoded.message}`)
          continue
        }
        await show(cli, decoded.event)
        left -= 1
        if (left <= 0) return
      }
    },
    { deadlineMs: Number.POSITIVE_INFINITY, patient: true },
  )
}

function show({ options, out }: Cli, event: MurmurEvent): Promise<void> {
  const { producer, seq } = event
  if (options.json) return out.line(JSON.stringify({ ...toCloudEvent(event), producer, seq }))
  const { type, key } = event
  if (!out.terminal)
    return out.line([event.time, type, key ?? "", producer, shortJson(event.data, 4_000)].map(printable).join("\t"))
  const time = out.paint("dim", new Date(event.time).toLocaleTimeString([], { hour12: false }))
  const who = printable(producer)
  const head = `${time}  ${out.paint("cyan", type.padEnd(26))} ${printable(key ?? "-").padEnd(20)} ${who.padEnd(14)} `
  return out.line(head + out.paint("dim", shortJson(event.data, Math.max(20, out.width - 74))))
}
