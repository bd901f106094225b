import type { CommitRecord } from "../../src/agents/sessions/record.js"
import { parseSessionRecord } from "../../src/agents/sessions/record.js"
import { readHistory, readStream } from "../../src/bus/reader.js"
import type { BenchMesh } from "./mesh.js"

/** Calls back for each commit of an agent's sessions, as it comes. @returns ends it */
export function followCommits({ bus }: BenchMesh, agent: string, onCommit: (commit: CommitRecord) => void): () => void {
  const ending = new AbortController()
  const { signal } = ending
  const read = {
    stream: bus.names.sessionsOf("any"),
    filter: `${bus.names.mesh}.ses.${agent}.*`,
    from: { seq: 1 },
    signal,
  }
  void (async () => {
    for await (const { data, subject, seq } of readStream(bus.link, read)) {
      const record = parseSessionRecord(data, subject, seq)
      if (record.kind === "commit") onCommit(record)
    }
  })()
  return () => ending.abort()
}

/** The causes of all commits of an agent, repeats included. */
export async function causesOf({ bus }: BenchMesh, agent: string): Promise<string[]> {
  const read = { stream: bus.names.sessionsOf("any"), filter: `${bus.names.mesh}.ses.${agent}.*`, from: { seq: 1 } }
  const causes: string[] = []
  for await (const { data, subject, seq } of readHistory(bus.link, read)) {
    const record = parseSessionRecord(data, subject, seq)
    if (record.kind === "commit") causes.push(record.cause.id)
  }
  return causes
}
