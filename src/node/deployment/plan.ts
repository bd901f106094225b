import type { Difference } from "../../bus/streams.js"

/** One thing that a mesh needs, and what has to be done about it. */
export interface PlannedChange {
  readonly kind: "stream" | "bucket" | "object store" | "record" | "route" | "consumer" | "setting"
  readonly name: string
  readonly action: "create" | "update" | "remove" | "none"
  /** What is otherwise than wanted, with both values. */
  readonly differences: readonly Difference[]
}

/** A part of a plan that is done in one go. */
export interface Stage {
  readonly changes: readonly PlannedChange[]
  /**
   * Brings the changes about. What somebody else has done meanwhile is not done again.
   *
   * @returns what an operator should know of it, a sentence each
   */
  apply(signal: AbortSignal): Promise<readonly string[]>
}

/** What has to be done so that a mesh has all that some agents and sources need. */
export interface Plan {
  readonly mesh: string
  readonly layout: "mesh" | "agent"
  /** Of whoever deploys. */
  readonly version: string
  readonly changes: readonly PlannedChange[]
  /** Why it cannot be done, a sentence each. */
  readonly refusals: readonly string[]
  /** Why it should not be done now, a sentence each. A deployer waits; a node that may do all this itself goes on. */
  readonly cautions: readonly string[]
  /** What an operator should know before it is done, a sentence each. */
  readonly warnings: readonly string[]
  /** In this order. */
  readonly stages: readonly Stage[]
}

/** Something that is there as it must be. */
export function unchanged(kind: PlannedChange["kind"], name: string): PlannedChange {
  return { kind, name, action: "none", differences: [] }
}

/** Something to make. */
export function toCreate(
  kind: PlannedChange["kind"],
  name: string,
  differences: readonly Difference[] = [],
): PlannedChange {
  return { kind, name, action: "create", differences }
}

/** Something to remove. */
export function toRemove(kind: PlannedChange["kind"], name: string): PlannedChange {
  return { kind, name, action: "remove", differences: [] }
}

/** What there is to do to something that is there: nothing without differences. */
export function toUpdate(kind: PlannedChange["kind"], name: string, differences: readonly Difference[]): PlannedChange {
  return { kind, name, action: differences.length === 0 ? "none" : "update", differences }
}

/** Whether there is anything to do. */
export function isChange({ action }: PlannedChange): boolean {
  return action !== "none"
}
