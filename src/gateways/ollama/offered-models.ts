import type { Ollama } from "ollama"
import { z } from "zod"
import type { OfferedModel } from "../gateway.js"
import { readReply } from "../http/read-reply.js"
import { RefusedError } from "../http/refusing-fetch.js"

/** How many models are asked about side by side. */
const SIDE_BY_SIDE = 8

const List = z.object({ models: z.array(z.object({ name: z.string() })) })
const Facts = z.object({
  capabilities: z.array(z.string()).optional(),
  model_info: z.record(z.string(), z.unknown()).optional(),
})

/** The models that are on the server, and what each can do: a look into a file for each. */
export async function offeredModels(client: Ollama): Promise<readonly OfferedModel[]> {
  const { models } = readReply(List, await client.list())
  const offered: OfferedModel[] = []
  for (let at = 0; at < models.length; at += SIDE_BY_SIDE) {
    const some = models.slice(at, at + SIDE_BY_SIDE)
    offered.push(...(await Promise.all(some.map(({ name }) => describe(client, name)))))
  }
  return offered
}

/** A model that cannot be looked into (one that is being removed) is still named. */
async function describe(client: Ollama, name: string): Promise<OfferedModel> {
  const shown: unknown = await client.show({ model: name }).catch((error: unknown) => {
    if (error instanceof RefusedError) return {}
    throw error
  })
  const { capabilities, model_info = {} } = Facts.safeParse(shown).data ?? {}
  const [, context] = Object.entries(model_info).find(([key]) => key.endsWith(".context_length")) ?? []
  return {
    name,
    ...(typeof context === "number" && { contextTokens: context }),
    ...(capabilities !== undefined && {
      tools: capabilities.includes("tools"),
      images: capabilities.includes("vision"),
    }),
  }
}
