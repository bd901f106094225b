import type { EventDraft } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { ensureError, errorCode, MurmurError } from "../errors.js"
import { Lanes } from "./lanes.js"
import { pause, writeRegularly } from "./lifetime.js"
import { checkReplay, type Replaying, type ReplayOptions } from "./replay/options.js"
import { chainOf, type Position, Progress, START_OF_FILE } from "./replay/progress.js"
import { type FileRecord, type Row, readRecords } from "./replay/records.js"
import { Pacer, parseTime } from "./replay/time.js"
import { defineSource, type SourceContext, type SourceDefinition } from "./source.js"

const WRITE_EVERY_MS = 1_000
const INFLIGHT_MAX = 64
const LOGGED_MAX = 20
const SLEEP_MS_MAX = 3_600_000

/**
 * A recording as a source: CSV or JSON Lines, played with its own pauses, `speed` times as fast. Each row's id is derived from
 * the pass and from all rows up to it, and the position is remembered: a restart goes on where it was, repeats at most
 * a second's rows under the same ids after a crash, and begins anew when the file is another one. The file is never
 * loaded as a whole.
 *
 * @throws MurmurError `SOURCE_OPTION`, `NAME_INVALID`; while it runs `SOURCE_PATH`, `REPLAY_FILE`, and `REPLAY_ROW` with
 * `onMalformed: "stop"`
 * @example
 * export default replay({
 *   name: "prices",
 *   file: new URL("./prices.csv", import.meta.url),
 *   event: Tick,
 *   timeField: "date",
 *   speed: 3_600,
 *   map: (row) => ({ symbol: String(row.symbol), price: Number(row.price) }),
 * })
 */
export function replay<T>(
  options: ReplayOptions<T, Readonly<Record<string, string>>> & { format: "csv" },
): SourceDefinition
export function replay<T>(options: ReplayOptions<T>): SourceDefinition
export function replay<T, R extends Row>(options: ReplayOptions<T, R>): SourceDefinition {
  const replaying = checkReplay(options)
  return defineSource(options.name, {
    description: `Replay of ${replaying.path}`,
    emits: [replaying.event],
    run: (ctx) => new Replay(ctx, replaying).run(),
  })
}

/** One run of a replay. */
class Replay<T, R extends Row> {
  readonly #ctx: SourceContext
  readonly #options: Replaying<T, R>
  readonly #lanes = new Lanes(INFLIGHT_MAX)
  #published = 0
  #skipped = 0

  constructor(ctx: SourceContext, options: Replaying<T, R>) {
    this.#ctx = ctx
    this.#options = options
  }

  async run(): Promise<void> {
    const start = await this.#startingPosition()
    const progress = new Progress(this.#ctx.state, start)
    const remembering = writeRegularly(this.#ctx, WRITE_EVERY_MS, () => progress.write())
    try {
      await this.#playAll(start, progress)
    } finally {
      await this.#lanes.idle().catch(() => {})
      await remembering.stop()
    }
    this.#ctx.log.info({ source: this.#ctx.name, published: this.#published, skipped: this.#skipped }, "replay ended")
  }

  async #playAll(start: Position, progress: Progress): Promise<void> {
    let position = start
    for (;;) {
      const before = this.#published
      await this.#playOnce(position, progress)
      await this.#lanes.idle()
      // A pass that gave nothing would be followed by another at once, for ever.
      const idle = position.row === 0 && this.#published === before
      if (!this.#options.loop || this.#ctx.signal.aborted || idle) return
      position = { ...START_OF_FILE, pass: position.pass + 1 }
    }
  }

  async #playOnce(start: Position, progress: Progress): Promise<void> {
    const { speed, maxGapMs, path, format, delimiter, name } = this.#options
    const pacer = new Pacer(speed, maxGapMs)
    let position: Position = { ...START_OF_FILE, pass: start.pass }
    for await (const record of readRecords({ source: name, path, format, delimiter }, this.#ctx.signal)) {
      position = { ...position, row: position.row + 1, chain: chainOf(position.chain, record.text) }
      if (position.row <= start.row) continue
      await this.#play(record, position, pacer, progress)
      if (this.#ctx.signal.aborted) return
    }
  }

  async #play(record: FileRecord, position: Position, pacer: Pacer, progress: Progress): Promise<void> {
    const { signal } = this.#ctx
    const time = this.#timeOf(record)
    let wait = time === undefined ? 0 : pacer.delay(time, performance.now())
    for (; wait > 0 && !signal.aborted; wait -= SLEEP_MS_MAX) await pause(Math.min(wait, SLEEP_MS_MAX), signal)
    if (signal.aborted) return
    const done = progress.begin(position)
    const draft = this.#draft(record, time, position)
    if (draft === undefined) return done()
    await this.#lanes.add(draft.key ?? "", async () => {
      if (await this.#publish(draft, record)) done()
    })
  }

  /** False when the source is being stopped meanwhile: the row is then played by the next run. */
  async #publish(draft: EventDraft<T>, record: FileRecord): Promise<boolean> {
    try {
      await this.#ctx.publish(draft)
      this.#published += 1
    } catch (error) {
      if (errorCode(error) === "EVENT_DATA") this.#malformed(record, ensureError(error).message, error)
      else if (this.#ctx.signal.aborted) return false
      else throw error
    }
    return true
  }

  #timeOf(record: FileRecord): number | undefined {
    if (!("row" in record)) return undefined
    try {
      return parseTime(this.#options.timeOf(record.row as R))
    } catch {
      return undefined
    }
  }

  #draft(record: FileRecord, recorded: number | undefined, { pass, chain }: Position): EventDraft<T> | undefined {
    if ("problem" in record) return this.#malformed(record, record.problem)
    if (recorded === undefined) return this.#malformed(record, "its time is missing or cannot be read")
    const time = new Date(this.#options.timeline === "now" ? Date.now() : recorded)
    try {
      const data = this.#options.map(record.row as R, { time, line: record.line, pass })
      if (data === undefined) return undefined
      return this.#options.event(data, { time, id: `rp:${derivedId(this.#ctx.name, pass, chain)}` })
    } catch (error) {
      return this.#malformed(record, `map failed: ${ensureError(error).message}`, error)
    }
  }

  #malformed(record: FileRecord, problem: string, cause?: unknown): undefined {
    const { onMalformed, path } = this.#options
    if (onMalformed === "stop") {
      throw new MurmurError(`Cannot replay line ${record.line} of ${path}: ${problem}`, {
        code: "REPLAY_ROW",
        cause,
        details: { path, line: record.line },
      })
    }
    this.#skipped += 1
    if (this.#skipped > LOGGED_MAX) return
    const more = this.#skipped === LOGGED_MAX ? "; further ones are only counted" : ""
    this.#ctx.log.warn({ source: this.#ctx.name, path, line: record.line, problem }, `left out a row${more}`)
  }

  async #startingPosition(): Promise<Position> {
    const last = await Progress.read(this.#ctx.state)
    if (last === undefined) return { ...START_OF_FILE, pass: 0 }
    if (!this.#options.resume) return { ...START_OF_FILE, pass: last.pass + 1 }
    if (await this.#isSameSoFar(last)) return last
    const { path } = this.#options
    this.#ctx.log.warn(
      { source: this.#ctx.name, path },
      "the file is not the one that was being replayed; from its start",
    )
    return { ...START_OF_FILE, pass: last.pass }
  }

  async #isSameSoFar(last: Position): Promise<boolean> {
    const { path, format, delimiter, name } = this.#options
    let { row, chain }: Omit<Position, "pass"> = START_OF_FILE
    if (last.row === 0) return true
    for await (const record of readRecords({ source: name, path, format, delimiter }, this.#ctx.signal)) {
      row += 1
      chain = chainOf(chain, record.text)
      if (row === last.row) return chain === last.chain
    }
    // Stopped while reading: say nothing about the file, the run ends anyway.
    return this.#ctx.signal.aborted
  }
}
