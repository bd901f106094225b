import { makeLocalImages } from "./local-images.mjs"
import { run } from "./run.mjs"

/** What users build on and connect to. A newer one goes into deploy/Dockerfile and deploy/compose.yaml as well. */
const OFFICIAL = { node: "node:24.21.0-bookworm-slim", nats: "nats:2.15.0-alpine" }
const PULL_MS = 600_000
const REGISTRY = "https://registry-1.docker.io/v2/"
const REGISTRY_MS = 5_000

/**
 * The base images of the tests: the official ones when they are there or can be pulled, else ones of this machine's own
 * binaries.
 *
 * @param {import("./engine.mjs").Engine} engine
 * @returns {Promise<{ node: string, nats: string, what: string }>}
 * @throws Error when there are neither
 */
export async function prepareImages(engine) {
  const env = { ...process.env, ...engine.env }
  const obstacle = await fetchOfficial(env)
  if (obstacle === undefined) return { ...OFFICIAL, what: "official images" }
  try {
    return { ...(await makeLocalImages(env)), what: `images of this machine's own binaries (${obstacle})` }
  } catch (error) {
    throw new Error(`${obstacle}, and no images can be made of this machine's own binaries: ${error.message}`)
  }
}

/** @returns why they cannot be had */
async function fetchOfficial(env) {
  const missing = []
  for (const image of Object.values(OFFICIAL)) {
    const { code } = await run("docker", ["image", "inspect", image], { env })
    if (code !== 0) missing.push(image)
  }
  if (missing.length === 0) return undefined
  if (!(await registryAnswers())) return "Docker's registry does not answer"
  for (const image of missing) {
    const pulled = await run("docker", ["pull", "--quiet", image], { env, timeoutMs: PULL_MS })
    if (pulled.code !== 0) return `${image} cannot be pulled: ${pulled.stderr.trim().split("\n").at(-1)}`
  }
  return undefined
}

/** A registry asks for a token. Whoever answers otherwise is not one, but something on the way. */
async function registryAnswers() {
  try {
    const response = await fetch(REGISTRY, { signal: AbortSignal.timeout(REGISTRY_MS) })
    return response.status === 401 && /auth\.docker\.io/.test(response.headers.get("www-authenticate") ?? "")
  } catch {
    return false
  }
}
