import { describe, expect, it } from "vitest"
import { MetricStore, SERIES_MAX } from "./metric-store.js"

const counted = (store: MetricStore) =>
  store.counters.get("murmur.events.received")?.all.map(({ labels, value }) => ({ labels, value }))

describe("counting", () => {
  it("adds up by label set, whatever the order of the labels, and ignores undefined ones", () => {
    const store = new MetricStore()
    store.count("murmur.events.received", 1, { agent: "a", outcome: "done" })
    store.count("murmur.events.received", 2, { outcome: "done", agent: "a", reason: undefined })
    store.count("murmur.events.received", 1, { agent: "a", outcome: "failed" })
    store.count("murmur.events.received", 5)
    expect(counted(store)).toEqual([
      { labels: { agent: "a", outcome: "done" }, value: 3 },
      { labels: { agent: "a", outcome: "failed" }, value: 1 },
      { labels: {}, value: 5 },
    ])
  })

  it("keeps a prefix of labels apart from the longer set", () => {
    const store = new MetricStore()
    store.count("murmur.events.received", 1, { agent: "a" })
    store.count("murmur.events.received", 1, { agent: "a", outcome: "done" })
    store.count("murmur.events.received", 1, { agent: "a" })
    expect(counted(store)?.map(({ value }) => value)).toEqual([2, 1])
  })

  it("is bounded: too many label sets end up in one overflow series and nothing is lost", () => {
    const store = new MetricStore()
    for (let i = 0; i < SERIES_MAX * 3; i++) store.count("murmur.events.received", 1, { agent: `a${i}`, type: `t${i}` })
    const series = counted(store) ?? []
    expect(series.length).toBeLessThanOrEqual(SERIES_MAX + 1)
    expect(series.at(-1)?.labels).toEqual({ "otel.metric.overflow": true })
    expect(series.reduce((sum, { value }) => sum + value, 0)).toBe(SERIES_MAX * 3)
  })

  it("costs well under a microsecond", () => {
    const store = new MetricStore()
    const labels = { agent: "ci-triage", type: "ci.run.completed", outcome: "done" }
    let bestNs = Number.POSITIVE_INFINITY
    for (let round = 0; round < 5; round++) {
      const started = process.hrtime.bigint()
      for (let i = 0; i < 100_000; i++) store.count("murmur.events.received", 1, labels)
      bestNs = Math.min(bestNs, Number(process.hrtime.bigint() - started) / 100_000)
    }
    expect(bestNs).toBeLessThan(700)
  })
})

describe("durations", () => {
  it("fall into the bucket whose upper bound they do not exceed", () => {
    const store = new MetricStore()
    for (const seconds of [0.0005, 0.001, 0.0011, 600, 601]) store.duration("murmur.step.duration", seconds)
    const series = store.histograms.get("murmur.step.duration")?.all[0]
    expect(series?.counts.slice(0, 2)).toEqual([2, 1])
    expect(series?.counts.slice(-2)).toEqual([1, 1])
    expect(series).toMatchObject({ count: 5, min: 0.0005, max: 601 })
  })
})

describe("gauges", () => {
  it("may be registered several times under one name and be taken back", () => {
    const store = new MetricStore()
    const end = store.observe("murmur.consumer.lag", "Events waiting", () => [{ value: 1 }])
    store.observe("murmur.consumer.lag", "Events waiting", () => [{ value: 2 }])
    end()
    end()
    expect(store.gauges.get("murmur.consumer.lag")?.flatMap(({ read }) => [...read()])).toEqual([{ value: 2 }])
  })
})
