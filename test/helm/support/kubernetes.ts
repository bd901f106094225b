import { createHash } from "node:crypto"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { cacheRoot, thisPlatform } from "../../../src/bus/server/platform.js"
import { run } from "../../support/run.js"
import { npmReason } from "./helm.js"
import type { Manifest } from "./manifests.js"

/** Where the types and schemas of each API group are. */
const MODULES: Readonly<Record<string, string>> = {
  v1: "kubernetes-models/v1",
  "apps/v1": "kubernetes-models/apps/v1",
  "batch/v1": "kubernetes-models/batch/v1",
  "policy/v1": "kubernetes-models/policy/v1",
  "networking.k8s.io/v1": "kubernetes-models/networking.k8s.io/v1",
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
}

/** Kubernetes' own word on objects, without a cluster. */
export interface Kubernetes {
  /** What is wrong with values: types, what is missing, patterns. */
  check(manifest: Manifest): Promise<string[]>
  /** Besides, fields that nobody knows: a cluster would drop them without a word, or refuse them. */
  compile(manifests: readonly Manifest[]): Promise<string[]>
}

/**
 * The schemas of Kubernetes, KEDA and the Prometheus operator, from packages that are pinned in `test/helm/models` and kept
 * in the cache: they are made from the OpenAPI documents and custom resource definitions of those projects.
 */
export async function openKubernetes(): Promise<Kubernetes | { readonly missing: string }> {
  try {
    const folder = await install()
    return { check: (manifest) => check(folder, manifest), compile: (manifests) => compile(folder, manifests) }
  } catch (error) {
    return { missing: (error as Error).message }
  }
}

async function install(): Promise<string> {
  const pinned = resolve(import.meta.dirname, "../models")
  const digest = createHash("sha256")
    .update(readFileSync(join(pinned, "package-lock.json")))
    .digest("hex")
  const target = join(cacheRoot(process.env, thisPlatform()), "kubernetes-models", digest.slice(0, 16))
  if (existsSync(target)) return target
  mkdirSync(dirname(target), { recursive: true })
  const folder = mkdtempSync(join(dirname(target), ".installing-"))
  try {
    for (const name of ["package.json", "package-lock.json"]) cpSync(join(pinned, name), join(folder, name))
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"] // npm checks each package against the lock
    const installed = await run("npm", args, { cwd: folder, timeoutMs: 120_000 })
    if (installed.code !== 0)
      throw new Error(`npm cannot fetch the models of Kubernetes: ${npmReason(installed.stderr)}`)
    renameSync(folder, target)
  } catch (error) {
    if (!existsSync(target)) throw error // else another test process was quicker
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return target
}

interface Model {
  validate(): void
}

async function check(folder: string, manifest: Manifest): Promise<string[]> {
  const named = `${manifest.kind}/${manifest.metadata.name}`
  const module = MODULES[manifest.apiVersion]
  if (module === undefined) return [`${named}: no schema is known for ${manifest.apiVersion}`]
  const file = join(folder, "node_modules", module, `${manifest.kind}.js`)
  const models = (await import(pathToFileURL(file).href)) as Record<string, new (data: unknown) => Model>
  const model = models[manifest.kind]
  if (model === undefined) return [`${named}: ${manifest.apiVersion} has no ${manifest.kind}`]
  try {
    new model(manifest).validate()
    return []
  } catch (error) {
    return [`${named}: ${(error as Error).message}`]
  }
}

async function compile(folder: string, manifests: readonly Manifest[]): Promise<string[]> {
  const work = mkdtempSync(join(folder, ".compiling-"))
  try {
    const lines = manifests.map(
      (manifest, at) =>
        `export const m${at}: import("${MODULES[manifest.apiVersion]}/${manifest.kind}").I${manifest.kind} = ${JSON.stringify(manifest)}`,
    )
    writeFileSync(join(work, "manifests.ts"), `${lines.join("\n")}\n`)
    const tsc = resolve(import.meta.dirname, "../../../node_modules/typescript/bin/tsc")
    const options = [
      "--strict",
      "--noEmit",
      "--skipLibCheck",
      "--module",
      "nodenext",
      "--pretty",
      "false",
      "--types",
      "",
    ]
    const { code, stdout } = await run(process.execPath, [tsc, ...options, "manifests.ts"], {
      cwd: work,
      timeoutMs: 60_000,
    })
    return code === 0 ? [] : stdout.trim().split("\n")
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
