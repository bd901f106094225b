import type { Labels } from "../tools/trust-gate.js"

/**
 * What an agent has replied in whose step outsiders had a say, as the gate before the tools sees it: as a call that
 * returns what outsiders wrote.
 */
export function heardFrom(agent: string): Labels {
  return { name: `delegate ${agent}`, untrusted: true, private: false, egress: false, approval: "never" }
}
