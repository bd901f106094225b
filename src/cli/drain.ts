import { drainNode } from "../node/drain.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { duration, printable } from "./text.js"

/** `murmur drain <node>`: makes a node finish what it has begun and leave, and waits until it is gone. */
export async function drain(cli: Cli, [node]: [string]): Promise<void> {
  const drained = await withMesh(cli.options, (bus, signal) => drainNode(bus, node, { signal }), {
    deadlineMs: Number.POSITIVE_INFINITY, // it has bounds of its own
  })
  if (cli.options.json) return cli.out.json({ ...drained, drained: true })
  await cli.out.line(`${printable(node)} drained in ${duration(drained.durationMs)}`)
  for (const { name, nodes } of drained.agents) {
    const where = nodes.length > 0 ? `goes on at ${nodes.join(", ")}` : "is on no other node: its events wait"
    await cli.out.line(`  ${printable(`${name} ${where}`)}`)
  }
}
