import { readFileSync } from "node:fs"

/** CPU time that a process has used, in milliseconds, in steps of 10; `undefined` where the system does not tell. */
export function cpuMsOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return undefined
  }
}
