import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { readFences } from "../support/snippets/fences.js"
import { type Chart, noHelm, openChart, type Values } from "./support/chart.js"

const page = readFileSync(resolve(import.meta.dirname, "../../docs/kubernetes.md"), "utf8")
const examples = readFences(page)
  .filter(({ language, code }) => language === "yaml" && !code[0]?.startsWith("# for the NATS release"))
  .map(({ line, code }): [number, Values] => [line, parse(code.join("\n")) as Values])

/** The first column of the table, each with all the values that it stands for. */
const named = [...page.matchAll(/^\| (`[^|]+) \| [^|]* \| [^|]* \|$/gm)].flatMap(([, cell = ""]) => valuesIn(cell))

function valuesIn(cell: string): string[] {
  const [first = "", ...others] = [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name)
  const parent = first.slice(0, first.lastIndexOf(".") + 1)
  return [first, ...others.map((name) => (name.includes(".") ? name : `${parent}${name}`))]
}

it("The page names only values that there are", () => {
  const values = parse(
    readFileSync(resolve(import.meta.dirname, "../../deploy/helm/murmur/values.yaml"), "utf8"),
  ) as Values
  const has = (path: string): boolean => {
    const keys = path.replace(/^groups\.<name>/, "groupDefaults").split(".")
    const within = (tree: unknown, key: string): unknown => (tree as Record<string, unknown> | undefined)?.[key]
    return keys.reduce(within, values as unknown) !== undefined
  }
  const paths = named.filter((name) => /^[a-zA-Z<>.]+$/.test(name) && !name.startsWith("/"))
  expect(paths.length).toBeGreaterThan(15)
  expect(paths.filter((path) => !has(path))).toEqual([])
})

describe.skipIf(noHelm !== undefined)("The values that the page shows", () => {
  let chart: Chart
  beforeAll(() => {
    chart = openChart()
  })
  afterAll(() => chart?.remove())

  it.each(examples)("in line %i are taken by the chart", async (_, values) => {
    expect((await chart.render(values)).manifests.length).toBeGreaterThan(0)
  })

  it("are more than a few", () => {
    expect(examples.length).toBeGreaterThanOrEqual(4)
  })
})
