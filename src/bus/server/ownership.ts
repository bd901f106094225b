import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isSameProcess, processPlace, startToken } from "./liveness.js"
import { writeWhole } from "./write-file.js"

/*
 * Who may run a server on the store: nats-server itself takes no lock, and two of them on one store destroy it.
 *
 * Claims are files with rising numbers, each made exclusively; the highest one counts. A claim is never removed before a
 * higher one exists, so a process that looked a while ago can make at most a number that is too low, which it notices when
 * it looks again. (The usual lock file, removed when stale, lets two processes remove each other's fresh one.)
 */

/** The content of one claim. */
export interface Claim {
  readonly pid: number
  readonly token: string | undefined
  readonly place: string
  /** The guard of the server that ran under this claim; set before the server is started. */
  readonly guardPid?: number
  readonly port?: number
  /** Given back: the server under it has ended. */
  readonly released?: boolean
}

const BEAT_MS = 2_000

/** When process ids say nothing (another container, another boot), a claim lives as long as somebody renews its file. */
const SILENT_MS = 10_000

/** A claim whose content cannot be read is being written just now, or was cut off by a crash. */
const UNREADABLE_MS = 5_000

/** Claims of this very process, for systems where a process id has no start time with it. */
const mine = new Set<string>()

/** The right to run a server on one state folder. */
export class Ownership {
  private claim: Claim
  private readonly beat: NodeJS.Timeout

  private constructor(
    private readonly file: string,
    claim: Claim,
    /** The claim before this one, with what its holder left behind. */
    readonly previous: Claim | undefined,
  ) {
    this.claim = claim
    mine.add(file)
    this.beat = setInterval(() => this.renew(), BEAT_MS).unref()
  }

  /**
   * Claims the folder.
   *
   * @returns `undefined` when somebody else holds it
   * @throws Error of the file system, when the folder is missing or cannot be written
   */
  static take(dir: string): Ownership | undefined {
    const folder = claimsFolder(dir)
    makeFolder(folder)
    const latest = readLatest(folder)
    if (latest !== undefined && isHeld(latest)) return undefined
    const number = (latest?.number ?? 0) + 1
    const file = claimFile(folder, number)
    const claim = { pid: process.pid, token: startToken(process.pid), place: processPlace() }
    if (!makeExclusively(file, JSON.stringify(claim))) return undefined
    if (highest(folder) !== number) {
      rmSync(file, { force: true })
      return undefined
    }
    for (const other of numbers(folder)) if (other < number) rmSync(claimFile(folder, other), { force: true })
    return new Ownership(file, claim, latest?.claim)
  }

  /** The guard that was started last, under this claim or the one before. */
  get lastGuardPid(): number | undefined {
    return this.claim.guardPid ?? this.previous?.guardPid
  }

  /** Puts on record what a successor must look after. */
  note(facts: Partial<Pick<Claim, "guardPid" | "port" | "released">>): void {
    this.claim = { ...this.claim, ...facts }
    writeWhole(this.file, JSON.stringify(this.claim))
  }

  /** Whether the claim still stands: false once somebody has removed the state folder under us. */
  isCurrent(): boolean {
    const latest = readLatest(join(this.file, ".."))
    return latest !== undefined && claimFile(join(this.file, ".."), latest.number) === this.file
  }

  /** Gives the folder back. The server must have ended. */
  release(): void {
    clearInterval(this.beat)
    if (this.isCurrent()) this.note({ released: true })
    mine.delete(this.file)
  }

  private renew(): void {
    try {
      const now = new Date()
      utimesSync(this.file, now, now)
    } catch {
      // The folder was removed: isCurrent() says so to whoever needs to know.
    }
  }
}

/** The claim of the living process that has the right to run a server on this folder. */
export function currentClaim(dir: string): Claim | undefined {
  const latest = readLatest(claimsFolder(dir))
  return latest !== undefined && isHeld(latest) ? latest.claim : undefined
}

interface Latest {
  readonly number: number
  readonly file: string
  readonly ageMs: number
  readonly claim: Claim | undefined
}

function isHeld({ claim, ageMs, file }: Latest): boolean {
  if (claim === undefined) return ageMs < UNREADABLE_MS
  if (claim.released) return false
  if (claim.place !== processPlace()) return ageMs < SILENT_MS
  if (claim.pid === process.pid && claim.token === undefined) return mine.has(file)
  // Without a start time a living process id may be somebody else's by now; the age of the last renewal tells.
  const certain = claim.token !== undefined || ageMs < 6 * SILENT_MS
  return certain && isSameProcess(claim.pid, claim.token)
}

function readLatest(folder: string): Latest | undefined {
  for (;;) {
    const number = highest(folder)
    if (number === undefined) return undefined
    const file = claimFile(folder, number)
    try {
      const ageMs = Date.now() - statSync(file).mtimeMs
      return { number, file, ageMs, claim: parse(readFileSync(file, "utf8")) }
    } catch (error) {
      // A higher claim was made since, and this one removed.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
    }
  }
}

function parse(text: string): Claim | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Makes a file with its content in one step, unless it is there. */
function makeExclusively(file: string, content: string): boolean {
  const fresh = `${file}.${process.pid}.new`
  writeFileSync(fresh, content, { mode: 0o600 })
  try {
    linkSync(fresh, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    return makeWithoutLinks(file, content)
  } finally {
    rmSync(fresh, { force: true })
  }
}

/** For file systems without hard links: the name is exclusive as well, the content comes a moment later. */
function makeWithoutLinks(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: "wx", mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
}

/** Not with its parents: a state folder that was removed must not come back behind its user's back. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}

const claimsFolder = (dir: string): string => join(dir, "server-claims")
const claimFile = (folder: string, number: number): string => join(folder, `${number}.json`)

function highest(folder: string): number | undefined {
  const all = numbers(folder)
  return all.length === 0 ? undefined : Math.max(...all)
}

function numbers(folder: string): number[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
  return names.filter((name) => /^\d+\.json$/.test(name)).map((name) => Number.parseInt(name, 10))
}
