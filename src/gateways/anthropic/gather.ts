import { z } from "zod"
import type { StreamPart } from "../completion.js"
import { readReply } from "../http/read-reply.js"
import { toolCallOf } from "../http/tool-arguments.js"
import { Reply, type UsageRow, UsageRow as UsageRowSchema } from "./convert.js"
import { Block } from "./thoughts.js"

const Index = z.int().min(0)
const Start = z.object({ message: Reply.omit({ content: true }) })
const BlockStart = z.object({ index: Index, content_block: z.looseObject({ type: z.string() }) })
const Delta = z.object({
  index: Index,
  delta: z.union([
    z.object({ type: z.literal("text_delta"), text: z.string() }),
    z.object({ type: z.literal("thinking_delta"), thinking: z.string() }),
    z.object({ type: z.literal("signature_delta"), signature: z.string() }),
    z.object({ type: z.literal("input_json_delta"), partial_json: z.string() }),
    z.object({ type: z.string() }),
  ]),
})
const BlockStop = z.object({ index: Index })
const End = z.object({ delta: z.object({ stop_reason: z.string().nullish() }), usage: UsageRowSchema.optional() })

type OpenBlock = Record<string, unknown> & { type: string; json?: string }

/** Puts an answer together from the events of a stream. Events of kinds that came later are passed over. */
export class Gathered {
  readonly #blocks = new Map<number, OpenBlock>()
  #head: z.infer<typeof Start>["message"] = {}
  #stopReason: string | null | undefined
  #usage: UsageRow | undefined
  #ended = false

  /** The whole answer; `undefined` as long as it has no end. */
  get reply(): Reply | undefined {
    if (!this.#ended) return undefined
    const content = [...this.#blocks].sort(([a], [b]) => a - b).map(([, block]) => closed(block))
    return {
      ...this.#head,
      content,
      stop_reason: this.#stopReason,
      ...(this.#usage !== undefined && { usage: this.#usage }),
    }
  }

  /** @throws Error when it is no event of a stream */
  *add(event: unknown): Generator<StreamPart> {
    const type = (event as { type?: unknown } | null)?.type
    if (type === "content_block_delta") yield* this.#delta(readReply(Delta, event))
    else if (type === "content_block_start") yield* this.#open(readReply(BlockStart, event))
    else if (type === "content_block_stop") yield* this.#close(readReply(BlockStop, event).index)
    else if (type === "message_start") {
      this.#head = readReply(Start, event).message
      this.#usage = this.#head.usage
    } else if (type === "message_delta") {
      const { delta, usage } = readReply(End, event)
      this.#stopReason = delta.stop_reason
      this.#usage = { ...this.#usage, ...told(usage) }
    } else if (type === "message_stop") this.#ended = true
  }

  *#open({ index, content_block: block }: z.infer<typeof BlockStart>): Generator<StreamPart> {
    this.#blocks.set(index, { ...block })
    if (block.type === "text" && typeof block.text === "string" && block.text !== "")
      yield { type: "text", text: block.text }
  }

  *#delta({ index, delta }: z.infer<typeof Delta>): Generator<StreamPart> {
    const block = this.#blocks.get(index)
    if (block === undefined) throw new Error("a piece of the answer belongs to no block")
    if ("text" in delta) {
      block.text = `${block.text ?? ""}${delta.text}`
      yield { type: "text", text: delta.text }
    } else if ("thinking" in delta) {
      block.thinking = `${block.thinking ?? ""}${delta.thinking}`
      yield { type: "reasoning", text: delta.thinking }
    } else if ("signature" in delta) block.signature = `${block.signature ?? ""}${delta.signature}`
    else if ("partial_json" in delta) block.json = `${block.json ?? ""}${delta.partial_json}`
  }

  *#close(index: number): Generator<StreamPart> {
    const block = Block.safeParse(closed(this.#blocks.get(index) ?? { type: "unknown" })).data
    if (block?.type !== "tool_use") return
    const { id, name, input } = block
    yield { type: "tool-call", call: toolCallOf(id, name, typeof input === "string" ? input : JSON.stringify(input)) }
  }
}

/** A tool's arguments come as text in pieces; what they mean is seen when all are there. */
function closed({ json, ...block }: OpenBlock): OpenBlock {
  return block.type === "tool_use" && json !== undefined && json !== "" ? { ...block, input: json } : block
}

/** What the end of a stream says of the usage corrects its beginning; what it leaves out does not. */
function told(usage: UsageRow | undefined): UsageRow {
  return Object.fromEntries(Object.entries(usage ?? {}).filter(([, count]) => count != null)) as UsageRow
}
