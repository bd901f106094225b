import { lookup } from "node:dns/promises"
import type { LookupFunction } from "node:net"
import { ensureError } from "../../errors.js"
import { isPublicAddress } from "../../gateways/http/public-address.js"
import { refused } from "./options.js"

/** One address of a host. */
export interface HostAddress {
  readonly address: string
  readonly family: number
}

/** The network as tools see it. Tests have another. */
export interface Network {
  resolve(host: string): Promise<readonly HostAddress[]>
  /** Whether an address may be connected to. */
  isPublic(address: string): boolean
}

/** The internet, without what is not public. */
export const internet: Network = {
  resolve: (host) => lookup(host, { all: true }),
  isPublic: isPublicAddress,
}

/** @throws TerminalError `TOOL_REFUSED` */
export function checkAddress(tool: string, host: string, address: string, network: Network): void {
  if (network.isPublic(address)) return
  const what = host === address ? `${address} is` : `host "${host}" has the address ${address}, which is`
  throw refused(tool, `${what} not one of the public internet`, { host, address })
}

/**
 * Looks a host up for the very connection that is about to be made: between a check and a connection its address could
 * change. One address that is not public is enough to refuse them all.
 */
export function guardedLookup(tool: string, network: Network): LookupFunction {
  return (host, { all }, done) => {
    network.resolve(host).then(
      (addresses) => {
        const [first] = addresses
        try {
          for (const { address } of addresses) checkAddress(tool, host, address, network)
          if (first === undefined) throw new Error(`host "${host}" has no address`)
        } catch (error) {
          return done(ensureError(error), "")
        }
        return all ? done(null, [...addresses]) : done(null, first.address, first.family)
      },
      (error: unknown) => done(ensureError(error), ""),
    )
  }
}
