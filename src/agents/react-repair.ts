import type { MurmurEvent } from "../bus/event.js"
import type { ReadMessage } from "../bus/reader.js"
import { isMurmurError, TerminalError } from "../errors.js"
import { burialPorts, bury } from "./burial.js"
import { type GivenUp, letterEvent } from "./dead-letters.js"
import { originalOf } from "./original-event.js"
import type { ReactCommits } from "./react-commits.js"
import type { ReactHistory } from "./react-history.js"
import type { ReactPipelines } from "./react-pipelines.js"
import type { Breakdown, ReactSession } from "./react-session.js"
import type { TenureParts } from "./react-tenure.js"
import type { WindowLog } from "./windows/checkpoint.js"

/** What repairs need of their tenure. */
export interface RepairParts extends TenureParts {
  readonly pipelines: ReactPipelines
  readonly commits: ReactCommits
  readonly windows: WindowLog
  readonly history: ReactHistory
  readonly ended: AbortSignal
}

/** A pipeline that broke, and over what. */
interface Broken {
  readonly session: ReactSession
  readonly event: MurmurEvent
  readonly breakdown: Breakdown
}

/**
 * Mends pipelines that broke: the event, or the window that was closing, goes to the dead letters, and the key is built
 * again from history without it. Other keys do not notice.
 */
export class ReactRepair {
  constructor(private readonly parts: RepairParts) {}

  /** The event of a message that is read again, or `undefined` when it is not to be put into a pipeline. */
  replayable(message: ReadMessage): MurmurEvent | undefined {
    if (this.parts.commits.isPoisoned(message.seq)) return undefined
    const intake = this.parts.intake.admit(message)
    return intake.kind === "run" ? intake.event : undefined
  }

  /** Mends a pipeline that broke over an event, or over a window that the event closed. */
  async run(session: ReactSession, event: MurmurEvent, breakdown: Breakdown): Promise<void> {
    const { commits, pipelines, stats, ended } = this.parts
    await commits.holding(async () => {
      let broken: Broken | undefined = { session, event, breakdown }
      while (broken !== undefined && !ended.aborted) {
        stats.failures += 1
        if (!(await this.#bury(broken.event, broken.breakdown))) return
        pipelines.discard(broken.session)
        this.#leaveOut(broken)
        await commits.now() // what was closed is committed first: the pipeline that is built now must know it
        broken = await this.#rebuild(session.key, event.seq)
      }
    })
  }

  /** Mends a pipeline that broke while its windows were closed. */
  async check(session: ReactSession): Promise<void> {
    const { breakdown, newest } = session
    if (breakdown !== undefined && newest !== undefined) await this.run(session, newest, breakdown)
  }

  /**
   * Builds a pipeline again that broke on its own time (a timer, a promise): no event is to blame.
   *
   * @param through the newest event that is in pipelines
   */
  async revive(session: ReactSession, through: number): Promise<void> {
    const { commits, pipelines, stats, log } = this.parts
    const { key, breakdown } = session
    stats.failures += 1
    log.error({ key, error: breakdown?.error }, "a pipeline broke on its own time; building it again")
    pipelines.discard(session)
    const broken = await commits.holding(async () => {
      await commits.now()
      return this.#rebuild(key, through)
    })
    if (broken !== undefined) await this.run(broken.session, broken.event, broken.breakdown)
  }

  #leaveOut({ session, event, breakdown: { window } }: Broken): void {
    const { commits } = this.parts
    if (window === undefined) commits.poison(event.seq)
    else commits.close({ key: session.key ?? null, operator: window.operator, through: window.through, outputs: [] })
  }

  /** Feeds a key's pipeline with its past. @returns how it broke again, if it did */
  async #rebuild(key: string | undefined, through: number): Promise<Broken | undefined> {
    const { pipelines, history, windows, ended } = this.parts
    const session = pipelines.of(key)
    const before = session.replaying
    session.replaying = true
    if (windows.rebuildFrom <= through) {
      for await (const message of history.read(windows.rebuildFrom, through, ended, key)) {
        const event = this.replayable(message)
        if (event === undefined || event.key !== key) continue
        session.deliver(event)
        const { breakdown } = session
        if (breakdown !== undefined) return { session, event, breakdown }
      }
    }
    session.replaying = before
    return undefined
  }

  async #bury(event: MurmurEvent, breakdown: Breakdown): Promise<boolean> {
    const original = await originalOf(event, this.parts.ports)
    return bury(this.#givenUp(original, breakdown), burialPorts(this.parts), this.parts.ended)
  }

  #givenUp(event: MurmurEvent, { error, window }: Breakdown): GivenUp {
    const agent = this.parts.agent.name
    const where =
      window === undefined
        ? ""
        : ` (window ${new Date(window.span.start).toISOString()} to ${new Date(window.span.end).toISOString()}, ${window.span.size} events)`
    const code = isMurmurError(error) ? error.code : "PIPELINE"
    const why = new TerminalError(`The pipeline of "${agent}" broke${where}: ${error.message}`, { code, cause: error })
    const traceparent = event.trace?.traceparent
    return { agent, reason: "failed", event: letterEvent(event), key: event.key, error: why, attempts: [], traceparent }
  }
}
