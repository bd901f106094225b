import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parse, parseAllDocuments, stringify } from "yaml"
import { type RunResult, run } from "../../support/run.js"
import { findHelm } from "./helm.js"
import type { Manifest } from "./manifests.js"

export const CHART = resolve(import.meta.dirname, "../../../deploy/helm/murmur")

/** Values as a user writes them: a tree, merged over the chart's own. */
export type Values = Readonly<Record<string, unknown>>

/** The values of a file next to the tests. */
export function valuesOf(name: string): Values {
  return parse(readFileSync(resolve(import.meta.dirname, `../values/${name}.yaml`), "utf8")) as Values
}

/** What came of rendering. */
export interface Rendered {
  readonly manifests: readonly Manifest[]
  /** What the user is told after the installation. */
  readonly notes: string
  /** What helm warned of. */
  readonly warnings: string
}

/** The chart, ready to be rendered. */
export interface Chart {
  lint(values?: Values): Promise<RunResult>
  /** `helm template` of a release. @throws Error with what helm says when it refuses */
  render(values?: Values, release?: string): Promise<Rendered>
  remove(): void
}

const helm = await findHelm()
const NOTES = "notes-of-the-chart"

/** Why there is no helm, or `undefined` when there is one. */
export const noHelm: string | undefined = "missing" in helm ? helm.missing : undefined
if (noHelm !== undefined) process.stderr.write(`skipped: tests of the Helm chart, since there is no helm (${noHelm})\n`)

/**
 * A copy of the chart with a stand-in for the official NATS chart, which no registry of packages has: it has the same name
 * and version, and renders one ConfigMap with the values that reach it.
 */
export function openChart(): Chart {
  if ("missing" in helm) throw new Error(`no helm: ${helm.missing}`)
  const root = mkdtempSync(join(tmpdir(), "murmur-chart-"))
  const chart = join(root, "murmur")
  cpSync(CHART, chart, { recursive: true, filter: (path) => !path.startsWith(join(CHART, "charts")) })
  writeStandIn(join(chart, "charts/nats"))
  writeNotesOut(chart)
  const env = { ...process.env, HELM_CACHE_HOME: root, HELM_CONFIG_HOME: root, HELM_DATA_HOME: root }
  let files = 0
  const withValues = (values: Values): string => {
    const file = join(root, `values-${files++}.yaml`)
    writeFileSync(file, JSON.stringify(values)) // is YAML, whose "yes" and "no" no reader takes for something else
    return file
  }
  return {
    lint: (values = {}) => run(helm.path, ["lint", chart, "--strict", "-f", withValues(values)], { env }),
    async render(values = {}, release = "mesh") {
      const args = ["-f", withValues(values), "--namespace", "agents", "--kube-version", "1.31.0"]
      const rendered = await run(helm.path, ["template", release, chart, ...args], { env, timeoutMs: 60_000 })
      if (rendered.code !== 0) throw new Error(rendered.stderr)
      const all = readManifests(rendered.stdout)
      const notes = all.find(({ metadata }) => metadata.name === NOTES)?.data?.text ?? ""
      const manifests = all.filter(({ metadata }) => metadata.name !== NOTES)
      return { manifests, notes, warnings: rendered.stderr }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

function writeStandIn(folder: string): void {
  const [{ version }] = (
    parse(readFileSync(join(CHART, "Chart.yaml"), "utf8")) as { dependencies: [{ version: string }] }
  ).dependencies
  mkdirSync(join(folder, "templates"), { recursive: true })
  writeFileSync(join(folder, "Chart.yaml"), stringify({ apiVersion: "v2", name: "nats", version }))
  writeFileSync(join(folder, "values.yaml"), stringify({ config: { nats: { port: 4222 } }, ofTheOfficialChart: {} }))
  writeFileSync(
    join(folder, "templates/values.yaml"),
    "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: nats-values }\ndata:\n  values: {{ .Values | toJson | quote }}\n",
  )
}

/** Only an installation prints the notes; so they are rendered into an object of their own as well. */
function writeNotesOut(chart: string): void {
  cpSync(join(chart, "templates/NOTES.txt"), join(chart, "notes.txt"))
  writeFileSync(
    join(chart, "templates/notes.yaml"),
    `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${NOTES} }\ndata:\n  text: {{ tpl (.Files.Get "notes.txt") . | toJson }}\n`,
  )
}

/** @throws Error when something rendered is not the YAML that a strict reader takes: a key given twice, say */
function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .filter((document) => document.contents !== null)
    .map((document) => {
      if (document.errors.length > 0) throw new Error(`not YAML: ${String(document.errors[0])}`)
      return document.toJS() as Manifest
    })
}
