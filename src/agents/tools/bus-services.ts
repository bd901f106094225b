import type { ArtifactOptions } from "../../bus/artifact-options.js"
import type { Artifacts } from "../../bus/artifacts.js"
import type { BusCore } from "../../bus/bus-core.js"
import type { NodeServices } from "./node-services.js"

/** What a node offers to its tools, over its bus. Nothing is opened, and no library loaded, before a tool asks for it. */
export function busToolServices(
  bus: Pick<BusCore, "link" | "names" | "bucket">,
  options: { readonly artifacts?: ArtifactOptions } = {},
): Omit<NodeServices, "stepTime"> {
  const artifacts = once(async (): Promise<Artifacts> => {
    const { Artifacts } = await import("../../bus/artifacts.js")
    return Artifacts.open(bus, options.artifacts)
  })
  const memos = () => bus.bucket("MEMOS")
  return {
    artifacts: {
      put: async (bytes, how) => (await artifacts()).put(bytes, how),
      get: async (id) => (await artifacts()).get(id),
    },
    memos: {
      read: async (key) => (await memos()).get(key),
      write: async (key, value, revision) => {
        const bucket = await memos()
        return revision === undefined ? bucket.create(key, value) : bucket.update(key, value, revision)
      },
    },
  }
}

/** Opened once; what could not be opened is tried again. */
function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }
}
