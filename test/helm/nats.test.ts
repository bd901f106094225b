import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { SERVER_FLOOR } from "../../src/bus/connection.js"
import { testBinary } from "../support/binary.js"
import { run } from "../support/run.js"
import { CHART, type Chart, noHelm, openChart, type Values } from "./support/chart.js"
import { envOf, find, workloads } from "./support/manifests.js"

interface NatsValues {
  readonly config: { readonly jetstream: { readonly merge: Values }; readonly cluster: Values }
}

const read = (path: string): unknown => parse(readFileSync(path, "utf8"))

describe("the official NATS chart", () => {
  const own = (read(join(CHART, "values.yaml")) as { nats: NatsValues & { url: string; enabled: boolean } }).nats

  it("is given the same values as a part of the release and as a release of its own", () => {
    const { url: _url, enabled: _enabled, ...values } = own
    expect(read(join(CHART, "../nats-values.yaml"))).toEqual(values)
  })

  it("is pinned, to a server that murmur can use", () => {
    const { dependencies } = read(join(CHART, "Chart.yaml")) as { dependencies: { name: string; version: string }[] }
    const version = dependencies.find(({ name }) => name === "nats")?.version ?? ""
    expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(version.localeCompare(SERVER_FLOOR, "en", { numeric: true })).toBeGreaterThanOrEqual(0)
    expect(readFileSync(join(CHART, "../nats-values.yaml"), "utf8")).toContain(`--version ${version}`)
  })

  it("puts into the server's configuration what the server takes", async () => {
    const folder = mkdtempSync(join(tmpdir(), "murmur-helm-nats-"))
    const accepts = async (jetstream: Values): Promise<boolean> => {
      const file = join(folder, "nats.conf")
      writeFileSync(file, JSON.stringify({ port: 4222, jetstream: { store_dir: folder, ...jetstream } }))
      return (await run(testBinary(), ["-t", "-c", file])).code === 0
    }
    try {
      expect(own.config.jetstream.merge).toEqual({ sync_interval: "always" })
      expect(await accepts(own.config.jetstream.merge)).toBe(true)
      expect(await accepts({ sync_interval: "sometimes" })).toBe(false)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  describe.skipIf(noHelm !== undefined)("as a part of the release", () => {
    let chart: Chart
    beforeAll(() => {
      chart = openChart()
    })
    afterAll(() => chart?.remove())

    it.each([
      ["mesh", {}, "mesh-nats"],
      ["my-nats", {}, "my-nats"],
      ["mesh", { nameOverride: "broker" }, "mesh-broker"],
      ["mesh", { fullnameOverride: "broker" }, "broker"],
    ])("is found by the nodes of release %s with %j as %s", async (release, names, expected) => {
      const { manifests } = await chart.render({ nats: { enabled: true, ...names } }, release)
      const [agents] = workloads(manifests)
      if (agents === undefined) throw new Error("nothing was rendered")
      expect(envOf(agents.container, "NATS_URL")).toBe(`nats://${expected}:4222`)
    })

    it("gets three servers that write before they acknowledge", async () => {
      const { manifests } = await chart.render({ nats: { enabled: true } })
      const reached = JSON.parse(find(manifests, "ConfigMap", "nats-values").data?.values ?? "{}") as NatsValues
      expect(reached.config.jetstream.merge).toEqual({ sync_interval: "always" })
      expect(reached.config.cluster).toMatchObject({ enabled: true, replicas: 3 })
    })

    it("is not there unless it is asked for", async () => {
      const { manifests } = await chart.render()
      expect(manifests.some(({ metadata }) => metadata.name === "nats-values")).toBe(false)
    })
  })
})
