import type { MurmurEvent } from "../bus/event.js"
import { codeRoute, type LocalRoute, mergeRoutes } from "../router/route.js"
import { RouteTable } from "../router/table.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Routing } from "./intake.js"

/** The routes that agents declare in code, with their predicates. */
export function codeRoutes(agents: readonly AgentDefinition[]): LocalRoute[] {
  return mergeRoutes(
    agents.flatMap(({ name, triggers }) =>
      triggers.map(({ pattern, filter, exclusive, priority, predicate }) =>
        codeRoute({ agent: name, pattern, filter, exclusive, priority, ...(predicate && { predicate }) }),
      ),
    ),
  )
}

/** The table without what only code knows: what can be asked before the data was validated. */
export function withoutPredicates(table: RouteTable): RouteTable {
  return RouteTable.from(table.routes.map(({ predicate: _, ...route }) => route))
}

/** What a table says to one agent. The tables are read at each question, since they may be replaced. */
export function routingOf(agent: string, tables: { plain(): RouteTable; full(): RouteTable }): Routing {
  return {
    admits: (event: MurmurEvent) => tables.plain().concerns(agent, event) !== undefined,
    concerns: (event: MurmurEvent) => tables.full().concerns(agent, event) !== undefined,
  }
}
