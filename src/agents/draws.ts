import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"

/**
 * The numbers that a step draws with `ctx.random()`, from 0 to 1: the same sequence on each attempt.
 *
 * @param branch path of the branch that draws: each has a sequence of its own
 */
export function drawsOf(agent: string, event: Pick<MurmurEvent, "id" | "key">, branch = ""): () => number {
  let draws = 0
  return () => {
    const id = derivedId(agent, event.key ?? "", event.id, `random${branch} ${draws++}`)
    return Buffer.from(id, "base64url").readUIntBE(0, 6) / 2 ** 48
  }
}
