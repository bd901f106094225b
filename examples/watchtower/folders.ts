import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** Specs that come with the example. Edit them while it runs. */
export const SPECS = fileURLToPath(new URL("./specs", import.meta.url))

/** A draft that the example itself edits now and then; it lies with the state of the local mesh, which git ignores. */
export const DRAFTS = resolve(join(process.env.MURMUR_DIR ?? ".murmur", "watchtower", "drafts"))
