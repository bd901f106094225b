import { rmSync } from "node:fs"
import { type LaunchSetting, launch } from "./launch.js"
import type { LocalServer, ServerExit } from "./local-server.js"
import { Ownership } from "./ownership.js"
import type { ServerRun } from "./run-server.js"
import { readState } from "./running.js"
import { pause } from "./wait.js"

/** How often who joined looks whether the owner is still there. */
const WATCH_MS = 500

/** A server that ends more often than this within the window is not started again. */
const RESTARTS_MAX = 5
const RESTARTS_WINDOW_MS = 60_000
const RESTART_DELAY_MS = 200

/** The right to run the server, and the server. `run` is missing between a crash and the next start. */
interface Owned {
  readonly ownership: Ownership
  run?: ServerRun
}

/**
 * One process's part in a local server, in one of three modes:
 *
 * - owner: waits for the end of its server; unasked, it starts it again. It becomes joined if its claim was taken from it
 *   (a machine that slept can look dead), and gives up after too many restarts.
 * - joined: watches the claim; when it is free, all who joined try to take it and the one that does becomes owner.
 * - over: stopped, or given up.
 */
export class Member implements LocalServer {
  readonly url: string
  private owned: Owned | undefined
  private current: { pid: number; version: string }
  private readonly callbacks = new Set<(exit: ServerExit) => void>()
  private readonly over = new AbortController()
  private readonly life: Promise<void>
  private readonly restarts: number[] = []
  private blindLooks = 0
  private ending: Promise<void> | undefined

  constructor(
    private readonly setting: LaunchSetting,
    server: { url: string; pid: number; version: string },
    owned?: { ownership: Ownership; run: ServerRun },
  ) {
    this.url = server.url
    this.current = server
    this.owned = owned
    this.life = this.live()
  }

  get pid(): number {
    return this.current.pid
  }

  get version(): string {
    return this.current.version
  }

  get role(): "owner" | "joined" {
    return this.owned === undefined ? "joined" : "owner"
  }

  onExit(callback: (exit: ServerExit) => void): () => void {
    this.callbacks.add(callback)
    return () => this.callbacks.delete(callback)
  }

  stop(): Promise<void> {
    this.ending ??= this.end()
    return this.ending
  }

  private async end(): Promise<void> {
    this.over.abort()
    await this.owned?.run?.stop()
    await this.life
    this.giveBack()
  }

  private async live(): Promise<void> {
    while (!this.over.signal.aborted) {
      try {
        await (this.owned === undefined ? this.watch() : this.serve(this.owned))
      } catch (error) {
        if (this.over.signal.aborted) return
        this.trouble(error as Error)
      }
    }
  }

  /** As owner: waits for the end of the server, then starts the next one. */
  private async serve(owned: Owned): Promise<void> {
    if (owned.run !== undefined) {
      const { reason } = await owned.run.ended
      delete owned.run
      if (this.over.signal.aborted) return
      this.tell(`the server ended (${reason})`, true)
    }
    if (!owned.ownership.isCurrent()) {
      this.giveBack()
      return
    }
    await this.startAgain(owned)
  }

  /** As one who joined: waits until the claim is free and is ours. */
  private async watch(): Promise<void> {
    await pause(WATCH_MS, this.over.signal, false)
    const ownership = Ownership.take(this.setting.dir)
    if (ownership !== undefined) {
      this.owned = { ownership }
      this.tell("the process that ran the server is gone", true)
      await this.startAgain(this.owned)
      return
    }
    this.blindLooks = 0
    const state = readState(this.setting.dir)
    if (state === undefined) return
    this.current = state
    if (state.url !== this.url) this.giveUp(`the server was started again elsewhere, on ${state.url}`)
  }

  private async startAgain(owned: Owned): Promise<void> {
    const now = performance.now()
    while (this.restarts.length > 0 && now - (this.restarts[0] ?? 0) > RESTARTS_WINDOW_MS) this.restarts.shift()
    if (this.restarts.length >= RESTARTS_MAX) {
      this.giveUp(
        `the server ended ${RESTARTS_MAX} times within ${RESTARTS_WINDOW_MS / 1_000} s; see its log, ${this.setting.files.log}`,
      )
      return
    }
    // The first restart comes at once, each further one waits twice as long.
    if (this.restarts.length > 0) await pause(RESTART_DELAY_MS * 2 ** this.restarts.length, this.over.signal)
    this.restarts.push(now)
    const run = await launch(this.setting, owned.ownership, [Number(new URL(this.url).port)], this.over.signal)
    owned.run = run
    this.current = run
    if (this.over.signal.aborted) await run.stop()
  }

  /** An owner's next start is counted and delayed; who joined looks again at the next watch, but not for ever. */
  private trouble(error: Error): void {
    if (this.owned === undefined && ++this.blindLooks >= RESTARTS_MAX) {
      this.giveUp(`the state folder cannot be read: ${error.message}`)
      return
    }
    this.tell(`the server could not be started again: ${error.message}`, true)
  }

  private giveUp(reason: string): void {
    this.over.abort()
    this.giveBack()
    this.tell(reason, false)
  }

  /** Leaves the folder to others; our server has ended. */
  private giveBack(): void {
    const { owned } = this
    if (owned === undefined) return
    this.owned = undefined
    if (owned.ownership.isCurrent()) rmSync(this.setting.files.state, { force: true })
    owned.ownership.release()
  }

  private tell(reason: string, restarting: boolean): void {
    // Not inside of our own loop: what a callback throws is its owner's to see, and must not end the watch.
    for (const callback of this.callbacks) queueMicrotask(() => callback({ reason, restarting }))
  }
}
