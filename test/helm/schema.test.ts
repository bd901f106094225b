import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv } from "ajv"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { CHART, type Values, valuesOf } from "./support/chart.js"
import { BY_SCHEMA } from "./support/refused.js"

const defaults = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as Values
const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as Schema

// With a validator of its own: another one than helm's, and there also where helm is not.
describe("the schema of the values", () => {
  const fits = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true }).compile(schema)
  const problems = (values: Values): string[] => {
    fits(merged(defaults, values))
    return (fits.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  }

  it.each([
    ["the defaults", {}],
    ["whole.yaml", valuesOf("whole")],
    ["with-nats.yaml", valuesOf("with-nats")],
  ] satisfies [string, Values][])("takes %s", (_, values) => {
    expect(problems(values)).toEqual([])
  })

  it.each(BY_SCHEMA)("refuses %s", (_, values) => {
    expect(problems(values)).not.toEqual([])
  })

  it("refuses unknown keys at every place that is the chart's own", () => {
    expect(openObjects(schema, "")).toEqual([])
  })

  it("has a rule for each value, and each rule a default", () => {
    const ofGroup = Object.keys(schema.definitions?.group?.properties ?? {})
    expect(Object.keys(defaults).sort()).toEqual(
      Object.keys(schema.properties ?? {})
        .filter((key) => key !== "global")
        .sort(),
    )
    expect(Object.keys(defaults.groupDefaults as Values).sort()).toEqual(ofGroup.sort())
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly definitions?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | object
}

/** Places with named properties where any other would be taken, too. */
function openObjects(schema: Schema, at: string): string[] {
  const below = [...Object.entries(schema.properties ?? {}), ...Object.entries(schema.definitions ?? {})].flatMap(
    ([key, inner]) => (typeof inner === "object" ? openObjects(inner, `${at}.${key}`) : []),
  )
  const open = schema.properties !== undefined && schema.additionalProperties === undefined
  return open && !/\.(if|then|else|oneOf)/.test(at) ? [at, ...below] : below
}

/** As helm merges: trees member by member, `null` takes away. */
function merged(below: Values, above: Values): Values {
  const result: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const old = result[key]
    if (value === null) delete result[key]
    else result[key] = isTree(value) && isTree(old) ? merged(old, value) : value
  }
  return result
}

const isTree = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value)
