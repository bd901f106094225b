import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"

/** The numbers that a step draws with `ctx.random()`, from 0 to 1: the same sequence on each attempt. */
export function drawsOf(agent: string, event: Pick<MurmurEvent, "id" | "key">): () => number {
  let draws = 0
  return () => {
    const id = derivedId(agent, event.key ?? "", event.id, `random ${draws++}`)
    return Buffer.from(id, "base64url").readUIntBE(0, 6) / 2 ** 48
  }
}
