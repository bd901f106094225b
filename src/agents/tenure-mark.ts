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
  /** The highest sequence that was begun and left unfinished, at a clean end. */
  through: z.number().optional(),
})
type Mark = z.infer<typeof Mark>

/** What a new owner of a partition has to know of the one before. */
export interface Predecessor {
  /** It died, or is taken for dead: it may have died of what it was doing. */
  readonly died: boolean
  /** It has left in order; what it began and did not finish lies at or below this sequence. */
  readonly through: number
}

const NOTHING_LEFT: Predecessor = { died: false, through: 0 }

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

  /** This process owns the partition now. */
  async begin(): Promise<Predecessor> {
    const last = await this.log.last(this.subject)
    const before = last === undefined ? undefined : readMark(last.data)
    await this.#write({ kind: "began" }, last?.seq ?? 0)
    if (before === undefined || before.run === this.#run) return NOTHING_LEFT
    return before.kind === "began" ? { died: true, through: 0 } : { died: false, through: before.through ?? 0 }
  }

  /**
   * This process has left the partition.
   *
   * @param through the highest sequence that it began and did not finish; 0 for none
   */
  async end(through: number): Promise<void> {
    const last = await this.log.last(this.subject)
    if (last === undefined || readMark(last.data)?.run !== this.#run) return
    await this.#write({ kind: "ended", ...(through > 0 && { through }) }, last.seq)
  }

  /**
   * Whoever is first has it: the other one is told by the pin. A partition may be owned for longer than journals are
   * kept, so the mark stays for ever, and takes the place of the one before.
   */
  async #write(what: Pick<Mark, "kind" | "through">, expectedSeq: number): Promise<void> {
    const mark: Mark = { ...what, node: this.node, run: this.#run, at: timeText(this.clock.now()) }
    try {
      const payload = Buffer.from(JSON.stringify(mark))
      const { seq } = await this.log.append(this.subject, payload, expectedSeq, { forEver: true })
      if (expectedSeq > 0) await this.log.deleteBefore(this.subject, seq)
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
