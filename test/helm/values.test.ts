import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Chart, noHelm, openChart } from "./support/chart.js"
import { BY_SCHEMA, BY_TEMPLATES } from "./support/refused.js"

describe.skipIf(noHelm !== undefined)("values", () => {
  let chart: Chart
  beforeAll(() => {
    chart = openChart()
  })
  afterAll(() => chart?.remove())

  it.each([...BY_SCHEMA, ...BY_TEMPLATES])("refuse %s, and name it", async (_, values, named) => {
    await expect(chart.render(values)).rejects.toThrow(named)
  })
})
