import { lookup } from "node:dns"
import { BlockList, isIP, type LookupFunction } from "node:net"
import { imageError } from "./load-image.js"

/** What is no address on the public internet: one's own machine, private and shared networks, documentation, multicast. */
const HIDDEN = new BlockList()
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  HIDDEN.addSubnet(net, bits, "ipv4")
}

/** Of IPv6, only what is global unicast and carries no IPv4 address within it is public. */
const GLOBAL = new BlockList()
GLOBAL.addSubnet("2000::", 3, "ipv6")
const CARRIERS = new BlockList()
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
] as const) {
  CARRIERS.addSubnet(net, bits, "ipv6")
}

/** Whether an address is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !HIDDEN.check(address, "ipv4")
  return family === 6 && GLOBAL.check(address, "ipv6") && !CARRIERS.check(address, "ipv6")
}

/** Looks a name up for a connection, and fails where any of its addresses is not public: no later look-up can differ. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, "")
    const hidden = addresses.find(({ address }) => !isPublicAddress(address))
    if (hidden !== undefined) return callback(hiddenAddress(hostname), "")
    const [first] = addresses
    if (options.all === true || first === undefined) return callback(null, addresses)
    callback(null, first.address, first.family)
  })
}

/** The error of an image that lies where no message may send us. */
export function hiddenAddress(host: string): Error {
  return imageError(
    `Cannot fetch the image at "${host}": it is no address of the public internet; make the gateway with imagesFrom "anywhere" if messages may name it`,
  )
}
