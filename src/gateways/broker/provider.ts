import type { Gateway } from "../gateway.js"
import type { ProviderStatus } from "./broker.js"
import type { GatePorts } from "./gate.js"
import { Lane } from "./lane.js"
import type { BrokerSettings } from "./options.js"

const CONCURRENCY = 64

/** A gateway, the way to it, and what has come of it. */
export interface Provider {
  readonly gateway: Gateway
  readonly lane: Lane
  calls: number
  failures: number
}

/** Opens the way to a gateway. */
export function openProvider(
  gateway: Gateway,
  { limits, limiter, clock, circuit, waitingMax }: BrokerSettings,
  circuitChanged: GatePorts["circuitChanged"],
): Provider {
  const { provider, account } = gateway
  const { concurrency = CONCURRENCY, ...rates } = limits[provider] ?? {}
  const limited = rates.requestsPerMinute !== undefined || rates.tokensPerMinute !== undefined
  const lane = new Lane(
    { provider, account, concurrency, waitingMax, limits: limited ? rates : undefined, circuit },
    { limiter, clock, circuitChanged },
  )
  return { gateway, lane, calls: 0, failures: 0 }
}

/** How a provider stands now. */
export function statusOf({ gateway, lane, calls, failures }: Provider): ProviderStatus {
  const { untilMs, running, waiting, circuit } = lane
  return {
    ...{ provider: gateway.provider, circuit, running, waiting, calls, failures },
    ...(untilMs > 0 && { untilMs }),
  }
}
