import type { MurmurEvent } from "../bus/event.js"
import { MurmurError, TerminalError } from "../errors.js"
import { CompiledRoute } from "./compiled-route.js"
import { collapse, coverOf } from "./cover.js"
import type { Pattern } from "./pattern.js"
import { byPrecedence, checkLocalRoute, type LocalRoute } from "./route.js"
import { RouteTrie } from "./trie.js"

/** The tries of one agent. */
interface AgentView {
  /** Routes of which each delivers by itself. */
  readonly open: RouteTrie
  /** Routes that must win against those of other agents. */
  readonly exclusive: RouteTrie
}

/** Everything that is built from the routes when first asked for. */
interface Compiled {
  readonly all: RouteTrie
  readonly exclusive: RouteTrie
  readonly agents: ReadonlyMap<string, AgentView>
}

/**
 * The routing table: which events concern which agents. Immutable; `with` and `without` give another table. Building is
 * put off until the table is first asked, so a series of changes is built once.
 *
 * What a match costs depends on the tokens of the type and on the routes that do match, not on how many others there
 * are: patterns lie in a trie, and routes of one pattern are filed by a condition that their filter needs (an exact
 * attribute, a prefix, a suffix, an equality in the data; see {@link LeafIndex}). Evaluated one by one are routes of a
 * fitting pattern whose filter has no such condition (`not`, `$gt`, ...), or shares it with others.
 */
export class RouteTable {
  readonly #routes: ReadonlyMap<string, CompiledRoute>
  #compiled: Compiled | undefined

  private constructor(routes: ReadonlyMap<string, CompiledRoute>) {
    this.#routes = routes
  }

  /**
   * @throws MurmurError `ROUTE_DUPLICATE` when two routes have one id (see `mergeRoutes`), `ROUTE_EXCLUSIVE` when an
   * exclusive route has a predicate
   * @example
   * const table = RouteTable.from([codeRoute({ agent: "ci-triage", pattern: "ci.run.*" })])
   */
  static from(routes: Iterable<LocalRoute>): RouteTable {
    const byId = new Map<string, CompiledRoute>()
    for (const route of routes) add(byId, route)
    return new RouteTable(byId)
  }

  /** All routes, in order of precedence. */
  get routes(): LocalRoute[] {
    return [...this.#routes.values()].map(({ route }) => route).sort(byPrecedence)
  }

  get size(): number {
    return this.#routes.size
  }

  get(id: string): LocalRoute | undefined {
    return this.#routes.get(id)?.route
  }

  /** The table with one route more. @throws MurmurError as {@link RouteTable.from} */
  with(route: LocalRoute): RouteTable {
    const routes = new Map(this.#routes)
    add(routes, route)
    return new RouteTable(routes)
  }

  /** The table without this route; the same table when it has none. */
  without(id: string): RouteTable {
    if (!this.#routes.has(id)) return this
    const routes = new Map(this.#routes)
    routes.delete(id)
    return new RouteTable(routes)
  }

  /** The table of these routes; what both have in common is not compiled again. @throws MurmurError as {@link RouteTable.from} */
  replace(routes: Iterable<LocalRoute>): RouteTable {
    const byId = new Map<string, CompiledRoute>()
    for (const route of routes) {
      const same = this.#routes.get(route.id)
      add(byId, route, same?.route === route ? same : undefined)
    }
    return new RouteTable(byId)
  }

  /**
   * Every route whose pattern, filter and (where it is known) predicate accept the event, in order of precedence.
   * Exclusive routes that lose are among them. A predicate that throws counts as accepting: `concerns` will tell.
   */
  match(event: MurmurEvent): LocalRoute[] {
    return matching(this.#tables.all, event)
  }

  /** The agents that get the event, sorted: those of all non-exclusive matches, and the one that wins among the exclusive. */
  agentsFor(event: MurmurEvent): string[] {
    const agents = new Set<string>()
    let won = false
    for (const route of this.match(event)) {
      if (route.exclusive && won) continue
      won ||= route.exclusive
      agents.add(route.agent)
    }
    return [...agents].sort()
  }

  /**
   * The route by which the agent gets the event; `undefined` when it does not. An unconditional route is named before
   * others. It is asked for every event: for a type that the agent gets unconditionally, or not at all, it is a cached
   * look-up by type.
   *
   * @throws TerminalError `ROUTE_PREDICATE` when a predicate in code threw and no other route delivers the event
   */
  concerns(agent: string, event: MurmurEvent): LocalRoute | undefined {
    const tables = this.#tables
    const view = tables.agents.get(agent)
    if (view === undefined) return undefined
    const spot = view.open.at(event.type)
    if (spot.unconditional !== undefined) return spot.unconditional.route
    const open = spot.leaves.length === 0 ? undefined : first(view.open, event)
    if (open !== undefined && !(open instanceof TerminalError)) return open
    if (view.exclusive.at(event.type).leaves.length > 0) {
      const winner = first(tables.exclusive, event)
      if (winner !== undefined && !(winner instanceof TerminalError) && winner.agent === agent) return winner
    }
    if (open !== undefined) throw open
    return undefined
  }

  /** The patterns of an agent's routes, without those that another covers, sorted. */
  patternsOf(agent: string): Pattern[] {
    return collapse(this.#patterns(agent))
  }

  /** The filters that the agent's consumer should have; empty when it should have none (see `coverOf`). */
  coverOf(agent: string): Pattern[] {
    return coverOf(this.#patterns(agent))
  }

  #patterns(agent: string): Pattern[] {
    return [...this.#routes.values()].filter(({ route }) => route.agent === agent).map(({ route }) => route.pattern)
  }

  get #tables(): Compiled {
    this.#compiled ??= compile([...this.#routes.values()])
    return this.#compiled
  }
}

function add(routes: Map<string, CompiledRoute>, route: LocalRoute, compiled?: CompiledRoute): void {
  if (routes.has(route.id)) {
    throw new MurmurError(`Cannot add route "${route.id}": the table has a route of this id`, {
      code: "ROUTE_DUPLICATE",
      details: { route: route.id },
    })
  }
  routes.set(route.id, compiled ?? new CompiledRoute(checkLocalRoute(route)))
}

function compile(routes: readonly CompiledRoute[]): Compiled {
  const byAgent = new Map<string, CompiledRoute[]>()
  for (const route of routes) {
    const own = byAgent.get(route.route.agent)
    if (own === undefined) byAgent.set(route.route.agent, [route])
    else own.push(route)
  }
  const agents = new Map<string, AgentView>()
  for (const [agent, own] of byAgent) {
    agents.set(agent, { open: new RouteTrie(own.filter(isOpen)), exclusive: new RouteTrie(own.filter(isExclusive)) })
  }
  return { all: new RouteTrie(routes), exclusive: new RouteTrie(routes.filter(isExclusive)), agents }
}

const isExclusive = ({ route }: CompiledRoute): boolean => route.exclusive
const isOpen = ({ route }: CompiledRoute): boolean => !route.exclusive

function matching(trie: RouteTrie, event: MurmurEvent): LocalRoute[] {
  const found = new Set<LocalRoute>()
  for (const leaf of trie.at(event.type).leaves) {
    leaf.visit(event, (compiled) => {
      if (!found.has(compiled.route) && compiled.ask(event) !== "no") found.add(compiled.route)
    })
  }
  return [...found].sort(byPrecedence)
}

/** The first by precedence that accepts the event; else the failure of a predicate, when there was one. */
function first(trie: RouteTrie, event: MurmurEvent): LocalRoute | TerminalError | undefined {
  let best: LocalRoute | undefined
  let failure: TerminalError | undefined
  for (const leaf of trie.at(event.type).leaves) {
    leaf.visit(event, (compiled) => {
      if (best !== undefined && byPrecedence(best, compiled.route) <= 0) return
      const answer = compiled.ask(event)
      if (answer === "yes") best = compiled.route
      else if (answer !== "no") failure = answer
    })
  }
  return best ?? failure
}
