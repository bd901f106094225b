import type { AnyTool } from "./tool.js"

const IN_NODE = Symbol.for("murmur.tool.in-node")

/** Marks a tool of murmur's own that needs the node: its code runs there, also for agents whose handlers run in workers. */
export function inNode<T extends AnyTool>(tool: T): T {
  return Object.defineProperty(tool, IN_NODE, { value: true })
}

/** Whether the node runs a tool's code itself. */
export function runsInNode(tool: AnyTool): boolean {
  return IN_NODE in tool
}
