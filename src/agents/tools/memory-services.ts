import { createHash } from "node:crypto"
import { MurmurError } from "../../errors.js"
import type { Artifact, ArtifactPort } from "./artifact-port.js"
import type { Memo, MemoPort, NodeServices } from "./node-services.js"

/** What a node offers to its tools, kept in memory: for tests of agents. */
export function memoryToolServices(): Omit<NodeServices, "stepTime"> {
  return { artifacts: memoryArtifacts(), memos: memoryMemos() }
}

function memoryArtifacts(): ArtifactPort {
  const all = new Map<string, Artifact>()
  return {
    put: async (bytes, { name, mediaType = "application/octet-stream" } = {}) => {
      const id = createHash("sha256").update(bytes).digest("hex")
      const found = all.get(id) ?? { id, size: bytes.length, mediaType, name, bytes: Uint8Array.from(bytes) }
      all.set(id, found)
      return found
    },
    get: async (id) => all.get(id),
  }
}

function memoryMemos(): MemoPort {
  const all = new Map<string, Memo>()
  return {
    read: async (key) => all.get(key),
    write: async (key, value, revision) => {
      const before = all.get(key)
      if (before?.revision !== revision) {
        throw new MurmurError(`Cannot write "${key}": somebody else wrote it first`, { code: "BUCKET_CONFLICT" })
      }
      all.set(key, { value: structuredClone(value), revision: (before?.revision ?? 0) + 1 })
    },
  }
}
