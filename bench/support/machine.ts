import { execFileSync } from "node:child_process"
import { cpus, loadavg, platform, release, totalmem } from "node:os"

/** Where and with what was measured. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  readonly natsServer: string
  /** Load average of the minute before, on so many cores. Above 0: others were at work too. */
  readonly loadBefore: number
}

export function describeMachine(natsServer: string): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    node: process.version,
    natsServer: versionOf(natsServer),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  }
}

function versionOf(binary: string): string {
  return execFileSync(binary, ["--version"])
    .toString()
    .trim()
    .replace(/^nats-server:?\s*/, "")
}
