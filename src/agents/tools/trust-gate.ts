import type { AnyTool } from "./tool.js"

/** What the gate looks at. */
export type Labels = Pick<AnyTool, "name" | "private" | "egress" | "untrusted" | "approval">

/** A call before it begins. */
export interface Entry {
  /** Why it needs a person's approval; `undefined` when it needs none. */
  readonly reason: string | undefined
  /** It was not made after all: what comes after it is judged as if it had never been asked for. */
  leave(): void
}

/**
 * Stands in front of all tools of a step. An event may trigger; it may not authorise: once outsiders have a say in a step,
 * a model that obeys them can do no harm that a person has not approved.
 *
 * - An irreversible tool (`approval: "untrusted"`) needs approval then.
 * - A step may then not have both: private data, and a way out for them. The later of the two needs approval.
 *
 * Judged in the order in which the calls are asked for, which is the same on each attempt.
 */
export class TrustGate {
  /** One for each call: the same tool may have been called, and refused, several times. */
  #entered: { readonly tool: Labels }[] = []

  /** @param fromOutside whether the step's event was written by outsiders, or what its session knows was */
  constructor(private readonly fromOutside: boolean) {}

  /** Whether outsiders have a say in the step, and so in what it emits. */
  get tainted(): boolean {
    return this.fromOutside || this.#find((tool) => tool.untrusted) !== undefined
  }

  /** A call is asked for. */
  enter(tool: Labels): Entry {
    const reason = this.#reason(tool)
    const entered = { tool }
    this.#entered.push(entered)
    return {
      reason,
      leave: () => {
        this.#entered = this.#entered.filter((each) => each !== entered)
      },
    }
  }

  #reason(tool: Labels): string | undefined {
    if (tool.approval === "always") return "Each call of this tool needs approval"
    const outside = this.#outside()
    if (outside === undefined) return undefined
    if (tool.approval === "untrusted") return `Outsiders have a say in this step: ${outside}`
    const conflict = this.#conflict(tool)
    return conflict === undefined ? undefined : `${conflict}, and outsiders have a say in this step: ${outside}`
  }

  #outside(): string | undefined {
    if (this.fromOutside) return "its event comes from outside"
    const read = this.#find((tool) => tool.untrusted)
    return read && `it has called "${read.name}", which returns what outsiders wrote`
  }

  #conflict(tool: Labels): string | undefined {
    if (tool.private && tool.egress) return "It reads private data and sends data out"
    if (tool.egress) {
      const read = this.#find((each) => each.private)
      if (read !== undefined) return `It sends data out, and "${read.name}" has read private data`
    }
    if (tool.private) {
      const sent = this.#find((each) => each.egress)
      if (sent !== undefined) return `It reads private data, and "${sent.name}" has sent data out`
    }
    return undefined
  }

  /** The first call so far of a tool like this. */
  #find(is: (tool: Labels) => boolean): Labels | undefined {
    return this.#entered.find(({ tool }) => is(tool))?.tool
  }
}
