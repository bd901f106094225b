import { randomUUID } from "node:crypto"
import { z } from "zod"
import type { RecordLog } from "../bus/record-log.js"
import { isMurmurError } from "../errors.js"
import { type Clock, timeText } from "./clock.js"

/** Who owns a partition, and whether it has left it in order. */
const Mark = z.object({
  kind: z.enum(["began", "ended"]),
  node: z.string(),
  /** One run of one process: a node that is started again is another one. */
  run: z.string(),
  at: z.string(),
})
type Mark = z.infer<typeof Mark>

/**
 * Tells a new owner of a partition whether the one before has left it in order. If not, it may have died of something
 * that it was doing: what was delivered to it is handled with care. One record for a stretch of ownership, so that steps
 * need none.
 */
export class TenureMark {
  readonly #run = randomUUID()

  constructor(
    private readonly log: RecordLog,
    private readonly clock: Clock,
    private readonly subject: string,
    private readonly node: string,
  ) {}

  /** This process owns the partition now. @returns whether the owner before died, or is taken for dead */
  async begin(): Promise<boolean> {
    const last = await this.log.last(this.subject)
    const before = last === undefined ? undefined : readMark(last.data)
    await this.#write("began", last?.seq ?? 0)
    return before !== undefined && before.kind === "began" && before.run !== this.#run
  }

  /** This process has left the partition, with nothing unfinished that was not noted. */
  async end(): Promise<void> {
    const last = await this.log.last(this.subject)
    if (last !== undefined && readMark(last.data)?.run === this.#run) await this.#write("ended", last.seq)
  }

  /** Whoever is first has it: the other one is told by the pin. */
  async #write(kind: Mark["kind"], expectedSeq: number): Promise<void> {
    const mark: Mark = { kind, node: this.node, run: this.#run, at: timeText(this.clock.now()) }
    try {
      await this.log.append(this.subject, Buffer.from(JSON.stringify(mark)), expectedSeq)
    } catch (error) {
      if (!isMurmurError(error) || error.code !== "FENCE_CONFLICT") throw error
    }
  }
}

/** Where the mark of a partition lies: beside the journals, and no journal's subject. */
export function tenureSubject(mesh: string, agent: string, partition: number): string {
  return `${mesh}.step.${agent}.${partition}.tenure`
}

function readMark(data: Uint8Array): Mark | undefined {
  try {
    return Mark.safeParse(JSON.parse(Buffer.from(data).toString())).data
  } catch {
    return undefined
  }
}
