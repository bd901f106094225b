import { readFileSync, readlinkSync } from "node:fs"

/*
 * A process id alone does not name a process: ids are used again, in containers at every start. Where the system says when
 * a process started, that goes with the id. This file is loaded by every command: it imports nothing but node:fs.
 */

/** Whether a process with this id runs. One that has ended and was not yet waited for (a zombie) does not. */
export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false
  }
  const state = procStat(pid)?.[0]
  return state !== "Z" && state !== "X"
}

/** Distinguishes two processes that had the same id one after the other; `undefined` where the system does not say. */
export function startToken(pid: number): string | undefined {
  return procStat(pid)?.[19]
}

/** Whether the process with this id runs and is the one that the token was taken from. */
export function isSameProcess(pid: number, token: string | undefined): boolean {
  return isAlive(pid) && (token === undefined || startToken(pid) === token)
}

/**
 * Where process ids mean the same thing as here: this boot of this kernel and this container. Equal for all on systems that
 * do not say.
 */
export function processPlace(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`
  } catch {
    return process.platform
  }
}

/** Linux: the fields of `/proc/<pid>/stat` after the command, whose name may hold anything: the state is first. */
function procStat(pid: number): string[] | undefined {
  if (process.platform !== "linux") return undefined
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}
