import { expect, test } from "vitest"
import { isPublicAddress } from "../http/public-address.js"
import { publicLookup } from "./public-lookup.js"

test.each(["1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111"])(
  "%s is an address of the public internet",
  (address) => expect(isPublicAddress(address)).toBe(true),
)

test.each([
  ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1"],
  ...["172.31.255.255", "192.168.0.1", "198.18.0.1", "203.0.113.7", "224.0.0.1", "255.255.255.255"],
  ...["::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1"],
  ...["64:ff9b::7f00:1", "2001:db8::1", "2001::1", "2002:7f00:1::", "localhost", "", "127.1"],
])("%s is none", (address) => expect(isPublicAddress(address)).toBe(false))

test("a name that leads to one's own machine cannot be connected to", async () => {
  const looked = new Promise((resolve) => publicLookup("localhost", {}, (error) => resolve(error)))
  expect(await looked).toMatchObject({ code: "LLM_IMAGE" })
})
