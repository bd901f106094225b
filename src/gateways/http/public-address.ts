import { BlockList, isIP } from "node:net"

/** What is not the public internet, by its blocks: this host, private networks, carrier NAT, link-local, metadata, tests. */
const IPV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
]

/** Of IPv6 only global unicast is public, and of that not what stands for something else (tunnels, documentation). */
const IPV6_PUBLIC: readonly [string, number] = ["2000::", 3]
const IPV6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
]

const notPublic = new BlockList()
for (const [net, bits] of IPV4) notPublic.addSubnet(net, bits, "ipv4")
for (const [net, bits] of IPV6) notPublic.addSubnet(net, bits, "ipv6")
const globalUnicast = new BlockList()
globalUnicast.addSubnet(...IPV6_PUBLIC, "ipv6")

/**
 * Whether an address is one of the public internet. What only wraps an IPv4 address (mapped, compatible, NAT64, 6to4,
 * Teredo) is not: nobody needs it to reach a public host.
 */
export function isPublicAddress(address: string): boolean {
  const plain = address.split("%", 1)[0] ?? "" // a zone says where a link-local address belongs
  switch (isIP(plain)) {
    case 4:
      return !notPublic.check(plain, "ipv4")
    case 6:
      return globalUnicast.check(plain, "ipv6") && !notPublic.check(plain, "ipv6")
    default:
      return false
  }
}
