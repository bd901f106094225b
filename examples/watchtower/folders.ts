import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** Specs that come with the example. Edit them while it runs. */
export const SPECS = fileURLToPath(new URL("./specs", import.meta.url))

/** A draft that the example itself edits now and then; it lies with the state of the local mesh, which git ignores. */
export const DRAFTS = resolve(join(process.env.MURMUR_DIR ?? ".murmur", "watchtower", "drafts"))

/** Logs that stand in for those of a CI server. */
export const LOGS = fileURLToPath(new URL("./logs", import.meta.url))

/** What was let run again, for the stand-in of a CI server; see `sources/ci-reruns.ts`. */
export const RERUNS = resolve(join(process.env.MURMUR_DIR ?? ".murmur", "watchtower", "reruns"))
