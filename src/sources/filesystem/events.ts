import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"

/** What is said about a file. */
export const FileData = z.object({
  /** The watched folder, absolute. */
  root: z.string(),
  /** Relative to the root, with forward slashes on every platform. It is the event's key. */
  path: z.string(),
  /** Size in bytes; of a deleted file the last one known. */
  sizeBytes: z.number().int().nonnegative(),
  /** Last modification, RFC 3339; of a deleted file the last one known. */
  modifiedAt: z.iso.datetime(),
  /** SHA-256 of the content in hex, when the source hashes files of this size. */
  sha256: z.string().optional(),
})
export type FileData = z.infer<typeof FileData>

const key = (data: FileData): string => data.path

/** A file appeared. */
export const FileCreated = defineEvent("file.created", FileData, { key, description: "A file appeared" })
/** A file's content changed, or it was replaced by another. */
export const FileChanged = defineEvent("file.changed", FileData, { key, description: "A file's content changed" })
/** A file is gone. */
export const FileDeleted = defineEvent("file.deleted", FileData, { key, description: "A file is gone" })
