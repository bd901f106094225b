import type { CompiledRoute } from "./compiled-route.js"
import { LeafIndex } from "./leaf-index.js"
import { isInboxType, wildcardsFrom } from "./reserved.js"
import { byPrecedence } from "./route.js"

/** What a type leads to. */
export interface Spot {
  readonly leaves: readonly LeafIndex[]
  /** The first by precedence of the routes that accept every event of this type. */
  readonly unconditional: CompiledRoute | undefined
}

interface TrieNode {
  readonly children: Map<string, TrieNode>
  /** Where "*" leads. Not among the children: a raw publisher may use "*" as a token of a type. */
  any: TrieNode | undefined
  /** Routes whose pattern ends here. */
  end: LeafIndex | undefined
  /** Routes whose pattern ends with ">" after this node. */
  tail: LeafIndex | undefined
}

const NOWHERE: Spot = { leaves: [], unconditional: undefined }

/** Types come from outside, so what is remembered of them is bounded. A mesh has some hundred. */
const SPOTS_MAX = 1_024

/** Finds the routes whose pattern fits a type, token by token, and remembers the answer by type. */
export class RouteTrie {
  readonly #root = newNode()
  readonly #spots = new Map<string, Spot>()

  constructor(routes: Iterable<CompiledRoute>) {
    for (const route of [...routes].sort((a, b) => byPrecedence(a.route, b.route))) this.#insert(route)
  }

  /**
   * Events for one agent's inbox are never routed: they have a consumer of their own, and would arrive twice. A task is
   * for one agent alone, and runs are told to those who ask: who listens to everything gets neither.
   */
  at(type: string): Spot {
    const known = this.#spots.get(type)
    if (known !== undefined) return known
    const spot = isInboxType(type) ? NOWHERE : this.#find(type)
    if (this.#spots.size >= SPOTS_MAX) this.#forgetOldest()
    this.#spots.set(type, spot)
    return spot
  }

  #insert(route: CompiledRoute): void {
    const tokens = route.route.pattern.split(".")
    const tail = tokens.at(-1) === ">"
    if (tail) tokens.pop()
    let node = this.#root
    for (const token of tokens) node = child(node, token)
    const leaf = (tail ? node.tail : node.end) ?? new LeafIndex()
    leaf.add(route)
    if (tail) node.tail = leaf
    else node.end = leaf
  }

  #find(type: string): Spot {
    const tokens = type.split(".")
    const from = wildcardsFrom(type)
    const leaves: LeafIndex[] = []
    let level: TrieNode[] = [this.#root]
    for (const [place, token] of tokens.entries()) {
      const wildcards = place >= from
      const next: TrieNode[] = []
      for (const node of level) {
        if (wildcards && node.tail !== undefined) leaves.push(node.tail)
        const exact = node.children.get(token)
        if (exact !== undefined) next.push(exact)
        if (wildcards && node.any !== undefined) next.push(node.any)
      }
      level = next
    }
    for (const node of level) if (node.end !== undefined) leaves.push(node.end)
    return leaves.length === 0 ? NOWHERE : { leaves, unconditional: firstUnconditional(leaves) }
  }

  #forgetOldest(): void {
    const oldest = this.#spots.keys().next()
    if (oldest.done !== true) this.#spots.delete(oldest.value)
  }
}

function newNode(): TrieNode {
  return { children: new Map(), any: undefined, end: undefined, tail: undefined }
}

function child(node: TrieNode, token: string): TrieNode {
  if (token === "*") {
    node.any ??= newNode()
    return node.any
  }
  const found = node.children.get(token) ?? newNode()
  node.children.set(token, found)
  return found
}

function firstUnconditional(leaves: readonly LeafIndex[]): CompiledRoute | undefined {
  return leaves
    .flatMap(({ unconditional }) => unconditional ?? [])
    .sort((a, b) => byPrecedence(a.route, b.route))
    .at(0)
}
