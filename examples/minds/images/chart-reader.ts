import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defineAgent, defineEvent, image, system, user } from "murmur"
import { z } from "zod"

const PICTURES = fileURLToPath(new URL("./pictures", import.meta.url))

/** A name and nothing else: an event is data, and must not name files outside of the folder. */
const Picture = z.object({ file: z.string().regex(/^[\w-]+\.png$/) })
const Chart = z.object({
  bars: z.array(z.object({ colour: z.enum(["red", "green", "blue", "yellow"]), rank: z.int().min(1) })),
  saying: z.string().describe("What the chart says, in one sentence"),
})

export const PictureAdded = defineEvent("picture.added", Picture, {
  key: (picture) => picture.file,
  description: "A picture of a chart lies in the folder",
})

export const ChartRead = defineEvent("chart.read", Chart.extend(Picture.shape), {
  key: (chart) => chart.file,
  description: "What a chart says",
})

const TASK = system("You read bar charts. Name the bars from left to right; the tallest has rank 1.")

/** The message names the file; its bytes are read when it is sent, in the form that the provider wants. */
export default defineAgent("chart-reader", {
  description: "Reads charts",
  on: [PictureAdded],
  emits: [ChartRead],
  async handle({ data: { file } }, ctx) {
    const question = user("What does this chart say?", image({ path: join(PICTURES, file) }))
    const { object } = await ctx.llm.object(Chart, [TASK, question], { name: "chart" })
    ctx.emit(ChartRead({ ...object, file }))
  },
})
