import type { AgentOverrides } from "../../gateways/define-models.js"
import { VARIABLES } from "./prompt.js"
import { checkTemplate } from "./template.js"

/** Checks instructions as a deployment gives them, before an event comes. @throws MurmurError `TEMPLATE` */
export function checkOverrides(overrides: Readonly<Record<string, AgentOverrides>> = {}): void {
  for (const [agent, { instructions }] of Object.entries(overrides)) {
    if (instructions !== undefined) checkInstructions(agent, instructions)
  }
}

/** @throws MurmurError `TEMPLATE` with line and column */
export function checkInstructions(agent: string, instructions: string): void {
  checkTemplate(instructions, { what: `the instructions of agent "${agent}"`, variables: VARIABLES })
}
