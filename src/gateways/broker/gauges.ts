import type { GaugeName, Observation, Observe } from "../../telemetry/ports.js"
import type { CircuitState } from "./circuit.js"
import type { Provider } from "./provider.js"

const CIRCUIT: Readonly<Record<CircuitState["circuit"], number>> = { closed: 0, "half-open": 1, open: 2 }

/**
 * Registers what providers show of themselves.
 *
 * @returns ends it
 */
export function observeProviders(providers: readonly Provider[], observe: Observe | undefined): () => void {
  if (observe === undefined) return () => {}
  const gauge = (name: GaugeName, description: string, read: (provider: Provider) => number): (() => void) =>
    observe(name, description, () =>
      providers.map(
        (provider): Observation => ({
          value: read(provider),
          labels: { "gen_ai.provider.name": provider.gateway.provider },
        }),
      ),
    )
  const ends = [
    gauge(
      "murmur.llm.circuit",
      "Whether calls reach the provider: 0 they do, 1 one tries, 2 it is left alone",
      ({ lane }) => CIRCUIT[lane.circuit],
    ),
    gauge("murmur.llm.running", "Requests that the provider is working on", ({ lane }) => lane.running),
    gauge("murmur.llm.waiting", "Calls that wait for their turn at the provider", ({ lane }) => lane.waiting),
  ]
  return () => {
    for (const end of ends) end()
  }
}
