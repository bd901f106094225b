import { hash32 } from "../world/random.js"

/** Whether a subject fits a filter with NATS wildcards. */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".")
  const found = subject.split(".")
  for (let at = 0; at < wanted.length; at++) {
    if (wanted[at] === ">") return found.length > at
    if (found[at] === undefined || (wanted[at] !== "*" && wanted[at] !== found[at])) return false
  }
  return wanted.length === found.length
}

/** What the EVENTS stream's transform makes of a published subject: the two partitions of the key come in. */
export function storedSubject(published: string): string {
  const [mesh = "", ev = "", producer = "", key = "", ...type] = published.split(".")
  return [mesh, ev, hash32(key) % 8, hash32(key) % 64, producer, key, ...type].join(".")
}
