import { drawPath } from "../agents/guards/guard-tripped.js"
import { trippedText, trippedTrees } from "../node/guard-trees.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"

/** `murmur guard ls`: the causal trees that guards have stopped and that wait in the dead letters. */
export async function guardLs(cli: Cli): Promise<void> {
  const trees = await withMesh(cli.options, trippedTrees)
  if (cli.options.json) return cli.out.json(trees)
  await cli.out.table(
    ["root", "last", "stopped by", "letters", "path"],
    trees.map(({ root, last, guards, letters, path }) => [
      root,
      last,
      guards.map(trippedText).join(", "),
      letters,
      drawPath({ path: path.slice(0, -1), agent: path.at(-1) ?? "-" }),
    ]),
  )
}
