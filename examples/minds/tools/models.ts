import { defineModels, type ScriptedRequest, scripted } from "murmur"

const { OPENAI_API_KEY, OLLAMA_HOST } = process.env

/** What the event is about. */
type Article = { readonly article: string }

/** Does what the instructions ask for: two calls at once, a third with what they brought, then the event. */
const script = scripted({
  replies: [
    {
      turns: [
        ({ data }) => ({
          toolCalls: [
            { name: "readStock", arguments: data as Article },
            { name: "readSales", arguments: data as Article },
          ],
        }),
        (asked) => {
          const { supplier } = found(asked)
          if (supplier === undefined) return "There is no such article, so nothing is to be ordered."
          return { toolCalls: [{ name: "readSupplier", arguments: { supplier } }] }
        },
        (asked) => ({ toolCalls: [{ name: "emit_order_proposed", arguments: order(asked) }] }),
        "The order is proposed.",
      ],
    },
  ],
})

/** What the tools have said so far, in one object. */
function found({ messages }: ScriptedRequest): Record<string, unknown> {
  const results = messages.flatMap((message) => (message.role === "tool" && !message.isError ? [message.content] : []))
  return Object.assign({}, ...results.map((content) => JSON.parse(content)))
}

function order(asked: ScriptedRequest) {
  const { shelf, soldPerWeek, supplier, weeksToDeliver, pack } = found(asked) as Record<string, number>
  const weeks = Number(weeksToDeliver) + 4
  const missing = weeks * Number(soldPerWeek) - Number(shelf)
  const pieces = Math.ceil(missing / Number(pack)) * Number(pack)
  const because = `${weeks} weeks at ${soldPerWeek}, less ${shelf} on the shelf, in packs of ${pack}`
  return { ...(asked.data as Article), pieces, supplier, because }
}

export default defineModels({
  default: OPENAI_API_KEY ? "openai/gpt-5-mini" : OLLAMA_HOST ? "ollama/qwen3:8b" : "scripted/demo",
  gateways: [script],
})
