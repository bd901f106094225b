import { lookup } from "node:dns"
import type { LookupFunction } from "node:net"
import { isPublicAddress } from "../http/public-address.js"
import { imageError } from "./load-image.js"

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
