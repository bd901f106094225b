/** What a node is labelled with, or what labels somebody asks for: `{ gpu: "true", zone: "eu-1" }`. */
export type Labels = Readonly<Record<string, string>>

const KEY = /^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$/
const VALUE = /^[-A-Za-z0-9_.]*$/
const LENGTH_MAX = 253

/** What is wrong with a label; `undefined` when nothing is. */
export function labelProblem(key: string, value: unknown): string | undefined {
  if (!KEY.test(key) || key.length > LENGTH_MAX) {
    return `its key must be letters, digits and - _ . / in between, is ${JSON.stringify(key)}`
  }
  if (typeof value !== "string" || !VALUE.test(value) || value.length > LENGTH_MAX) {
    return `the value of "${key}" must be text of letters, digits and - _ ., is ${JSON.stringify(value)}`
  }
  return undefined
}

/** Whether a node with these labels has all that is asked for. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

/** For people: `gpu=true, zone=eu-1`. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ")
}
