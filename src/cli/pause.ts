import { setPaused } from "../node/agent-control.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { warn } from "./output.js"

/** `murmur pause <agent>`. */
export function pause(cli: Cli, [agent]: [string]): Promise<void> {
  return change(cli, agent, true)
}

/** `murmur resume <agent>`. */
export function resume(cli: Cli, [agent]: [string]): Promise<void> {
  return change(cli, agent, false)
}

async function change(cli: Cli, agent: string, paused: boolean): Promise<void> {
  const { behind } = await withMesh(cli.options, (bus) => setPaused(bus, agent, paused))
  for (const node of behind) warn(`warning: node "${node}" has not followed yet; it will when it can`)
  if (cli.options.json) return cli.out.json({ agent, paused, behind })
  await cli.out.line(`${agent} ${paused ? "paused" : "resumed"}`)
}
