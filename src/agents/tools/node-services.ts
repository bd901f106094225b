import { TerminalError } from "../../errors.js"
import type { ArtifactPort } from "./artifact-port.js"

/** A value that somebody keeps, and how often it was written. */
export interface Memo {
  readonly value: unknown
  readonly revision: number
}

/** Small JSON values by key, shared by the mesh. */
export interface MemoPort {
  read(key: string): Promise<Memo | undefined>
  /**
   * @param revision as it was read; `undefined` for a key that is not there
   * @throws MurmurError `BUCKET_CONFLICT` when somebody wrote it since
   */
  write(key: string, value: unknown, revision: number | undefined): Promise<unknown>
}

/** What a node offers to the tools that it runs itself. */
export interface NodeServices {
  /** When the step's event was stored. */
  readonly stepTime: Date
  readonly artifacts: ArtifactPort
  readonly memos: MemoPort
}

/** The same for all steps. */
export type ToolServices = Omit<NodeServices, "stepTime">

/** @throws TerminalError `TOOL_NODE` where a node runs without what the tool needs */
export function nodeServices(tool: string, { node }: { readonly node?: NodeServices | undefined }): NodeServices {
  if (node !== undefined) return node
  throw new TerminalError(`Tool "${tool}" works in a step of a running node only, and this is none`, {
    code: "TOOL_NODE",
    details: { tool },
  })
}
