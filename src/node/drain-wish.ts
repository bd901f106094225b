import { z } from "zod"

/** An operator wants one process of a node to leave. */
const DrainWish = z.object({
  /** When that process began: a later one of the same name is not meant. */
  since: z.string(),
  at: z.string(),
  by: z.string(),
})
export type DrainWish = z.infer<typeof DrainWish>

const PREFIX = "drain."

/** The settings' key of the wish that a node leaves. */
export function drainKey(node: string): string {
  return `${PREFIX}${node}`
}

/** What a change of the settings is to one process of a node: `old` was meant for an earlier one. */
export function drainMeaning(
  change: { readonly key: string; readonly value: unknown },
  node: { readonly id: string; readonly since: string },
): "none" | "old" | "leave" {
  if (change.key !== drainKey(node.id) || change.value === undefined) return "none"
  const wish = DrainWish.safeParse(change.value)
  return wish.success && wish.data.since === node.since ? "leave" : "old"
}
