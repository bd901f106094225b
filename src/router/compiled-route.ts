import type { MurmurEvent } from "../bus/event.js"
import { ensureError, TerminalError } from "../errors.js"
import { type Alternatives, necessaryConditions } from "./condition.js"
import { compileFilter } from "./filter.js"
import type { LocalRoute } from "./route.js"

/** What a route says to one event. `failed` when its predicate in code threw. */
export type Answer = "yes" | "no" | TerminalError

const always = (): boolean => true

/** A route, ready to be asked. Made once and shared by all tables that hold the route. */
export class CompiledRoute {
  /** What can be looked up instead of evaluating the route; see `necessaryConditions`. */
  readonly conditions: readonly Alternatives[]
  /** Whether it accepts every event of its pattern. */
  readonly unconditional: boolean
  readonly #filter: (event: MurmurEvent) => boolean

  constructor(readonly route: LocalRoute) {
    this.#filter = route.filter === undefined ? always : compileFilter(route.filter)
    this.conditions = route.filter === undefined ? [] : necessaryConditions(route.filter)
    this.unconditional = route.filter === undefined && route.predicate === undefined
  }

  /** Asks filter and predicate. The pattern is not looked at: the trie has done that. */
  ask(event: MurmurEvent): Answer {
    if (!this.#filter(event)) return "no"
    const { predicate, id, agent } = this.route
    if (predicate === undefined) return "yes"
    try {
      return predicate(event) ? "yes" : "no"
    } catch (cause) {
      return new TerminalError(
        `Cannot decide whether event "${event.id}" of type "${event.type}" concerns agent "${agent}": the predicate of route "${id}" threw "${ensureError(cause).message}"`,
        { code: "ROUTE_PREDICATE", cause, details: { route: id, agent } },
      )
    }
  }
}
