import { derivedId } from "../../bus/ids.js"

/** Who is to own a partition, and who after that node has left. */
export interface Place {
  readonly first: string
  /** `undefined` when there is no other node. */
  readonly second: string | undefined
}

/** How well a node fits a partition. */
interface Fit {
  readonly node: string
  readonly partition: number
  readonly score: string
}

/**
 * Where the partitions of an agent belong. Every node works it out for itself, from the names alone, and comes to the
 * same: by rendezvous hashing (each node scores each partition, the best score wins) with the shares evened out, so that
 * no two nodes differ by more than one partition. When a node comes or goes, few others move besides.
 *
 * @param nodes ids of those that host the agent, in any order; at least one
 * @example
 * placesOf("booker", 8, ["node-1", "node-2"])[0] // { first: "node-2", second: "node-1" }
 */
export function placesOf(agent: string, partitions: number, nodes: readonly string[]): Place[] {
  const fits = rankedFits(agent, partitions, nodes)
  const firsts = shareOut(fits, partitions, nodes)
  const seconds = new Map(
    [...new Set(firsts)].map((gone) => {
      const others = nodes.filter((node) => node !== gone)
      return [gone, others.length === 0 ? [] : shareOut(fits, partitions, others)]
    }),
  )
  return firsts.map((first, partition) => ({ first, second: seconds.get(first)?.[partition] }))
}

/** Best first. */
function rankedFits(agent: string, partitions: number, nodes: readonly string[]): Fit[] {
  const fits: Fit[] = []
  for (const node of nodes) {
    for (let partition = 0; partition < partitions; partition++) {
      fits.push({ node, partition, score: derivedId(agent, partition, node) })
    }
  }
  return fits.sort((a, b) => (a.score < b.score ? -1 : 1))
}

/** Gives each partition to the node that fits best and has room: for its even share, and for one more while some are over. */
function shareOut(fits: readonly Fit[], partitions: number, nodes: readonly string[]): string[] {
  const share = Math.floor(partitions / nodes.length)
  let over = partitions % nodes.length
  const counts = new Map(nodes.map((node) => [node, 0]))
  const owners = new Array<string>(partitions)
  for (const { node, partition } of fits) {
    const count = counts.get(node)
    if (count === undefined || owners[partition] !== undefined || count > share) continue
    if (count === share && over === 0) continue
    if (count === share) over -= 1
    counts.set(node, count + 1)
    owners[partition] = node
  }
  return owners
}
