import { MurmurError } from "../errors.js"

/** A value as JSON gives it back. @throws MurmurError `NOT_JSON` */
export function plain(value: unknown, what: string): unknown {
  if (value === undefined) return null
  try {
    return JSON.parse(JSON.stringify(value))
  } catch (cause) {
    throw new MurmurError(`Cannot keep ${what}: it is not JSON`, { code: "NOT_JSON", cause })
  }
}
