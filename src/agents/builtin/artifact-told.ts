import { isMurmurError, TerminalError } from "../../errors.js"
import type { ArtifactInfo } from "../tools/artifact-port.js"

/** What is said of an artifact, and no more. */
export function infoOf({ id, size, mediaType, name }: ArtifactInfo): ArtifactInfo {
  return { id, size, mediaType, name }
}

/** Errors that another call can do something about are told as such. */
export function told(error: unknown): unknown {
  if (!isMurmurError(error) || !/^ARTIFACTS?_/.test(error.code)) return error
  return new TerminalError(error.message, { code: "TOOL_ARTIFACT", cause: error })
}
