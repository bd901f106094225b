import type { Container } from "./manifests.js"

/** What each key of each Secret holds here. */
export const SECRET = "of-a-secret"

/**
 * The environment that Kubernetes would make for a container: fields of the pod, keys of Secrets, variables within values.
 *
 * @param login the folder that stands for the mounted Secret with the credentials
 */
export function environmentOf({ env }: Container, pod: string, login?: string): Record<string, string> {
  const made: Record<string, string> = {}
  for (const { name, value, valueFrom } of env) {
    const field = valueFrom?.fieldRef?.fieldPath
    const text = value ?? (field === undefined ? SECRET : field === "metadata.name" ? pod : "somewhere")
    const whole = text.replace(/\$\((\w+)\)/g, (reference, other: string) => made[other] ?? reference)
    made[name] = login === undefined ? whole : whole.replace(/^\/etc\/murmur\/login(?=\/)/, login)
  }
  return made
}
