import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

/** One request, as a provider's server saw it come. */
export interface Arrival {
  /** Steady milliseconds. */
  readonly at: number
  /** Who sent it. */
  readonly from: string
  readonly tokens: number
}

/** A server that writes down what comes and when: `POST /?from=a&tokens=10`. */
export interface ArrivalServer {
  readonly url: string
  readonly arrivals: readonly Arrival[]
  /** What it answers from now on; default 200. */
  status: number
  stop(): Promise<void>
}

export async function startArrivalServer(): Promise<ArrivalServer> {
  const arrivals: Arrival[] = []
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "/", "http://host")
    const tokens = Number(searchParams.get("tokens") ?? 0)
    arrivals.push({ at: performance.now(), from: searchParams.get("from") ?? "", tokens })
    response.writeHead(handle.status).end()
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const handle = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    status: 200,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return handle
}

/** The most that came in any window of this length, wherever it begins. */
export function mostIn(
  arrivals: readonly Arrival[],
  windowMs: number,
  size: (arrival: Arrival) => number = () => 1,
): number {
  const sorted = [...arrivals].sort((one, other) => one.at - other.at)
  let most = 0
  let sum = 0
  let first = 0
  for (const arrival of sorted) {
    sum += size(arrival)
    for (
      let oldest = sorted[first];
      oldest !== undefined && arrival.at - oldest.at >= windowMs;
      oldest = sorted[++first]
    ) {
      sum -= size(oldest)
    }
    most = Math.max(most, sum)
  }
  return most
}
